SET sql_mode = ''; INSERT INTO t VALUES (1, 'junk'), (2, 'a'), (3, NULL);
