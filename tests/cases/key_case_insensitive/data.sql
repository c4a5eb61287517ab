INSERT INTO t  WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 400) SELECT CONCAT(ELT(1 + n % 5, 'a', 'B', 'ä', 'ß', 'ss'), n), ELT(1 + n % 3, 'x', 'Y', 'ö') FROM r;
