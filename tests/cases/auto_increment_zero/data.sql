INSERT INTO t VALUES (0, 1), (-5, 2), (7, 3), (500, 4);
