INSERT INTO t (id, a, j) WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 400) SELECT n, n * 3, CONCAT('{"k": "', n, '"}') FROM r;
