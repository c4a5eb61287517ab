INSERT INTO t VALUES (1, 1), (2, 2), (3, 3); UPDATE t SET a = 5 WHERE id = 1; UPDATE t SET a = 6 WHERE id = 1; DELETE FROM t WHERE id = 2;
INSERT INTO u (id, a) VALUES (1, 1), (2, 1); UPDATE u SET a = a + 1; DELETE FROM u WHERE id = 2;
INSERT INTO v VALUES (1, 1), (1, 1), (NULL, 2); UPDATE v SET b = 9; UPDATE v SET a = 4 WHERE a = 1;
INSERT INTO w (code, n) WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 500) SELECT CONCAT('x', n % 7), n FROM r; UPDATE w SET n = n + 1; UPDATE w SET n = n + 1 WHERE id % 3; DELETE FROM w WHERE id % 5 = 0;
INSERT INTO child VALUES (1, 1), (2, 3); UPDATE child SET t = 1;
