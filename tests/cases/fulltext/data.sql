INSERT INTO t  WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 400) SELECT n, CONCAT('word', n, ' other'), CONCAT('b', n) FROM r; INSERT INTO u (a) VALUES ('one'), ('two');
