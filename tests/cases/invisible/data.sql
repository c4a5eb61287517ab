INSERT INTO t (id, a, b) VALUES (1, 2, 3), (2, NULL, NULL), (3, 4, 4);
