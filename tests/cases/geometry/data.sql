INSERT INTO t VALUES (1, ST_GeomFromText('POINT(1 2)'), ST_GeomFromText('POINT(10 20)', 4326)), (2, ST_GeomFromText('LINESTRING(0 0,1.5 -2)', 4326), ST_GeomFromText('POINT(0 0)', 4326)), (3, ST_GeomFromText('POLYGON((0 0,4 0,4 4,0 0))', 0), ST_GeomFromText('POINT(89 179)', 4326)), (4, ST_GeomFromText('GEOMETRYCOLLECTION EMPTY'), ST_GeomFromText('POINT(1 1)', 4326)), (5, NULL, ST_GeomFromText('POINT(1 1)', 4326)), (6, ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))'), ST_GeomFromText('POINT(2 2)', 4326));
INSERT INTO u VALUES
  (1, ST_GeomFromText('POINT(1 2)', 4326), NULL), (2, ST_GeomFromText('POINT(3 4)', 4326), NULL),
  (3, ST_GeomFromText('LINESTRING(0 0,1 1)', 0), ST_GeomFromText('MULTIPOINT(1 1,2 2)', 3857)), (4, NULL, NULL),
  (5, ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),POINT(2 2))', 4326), ST_GeomFromText('POINT(0 0)', 0));
