SET sql_mode = ''; INSERT INTO t VALUES (1, 'junk'), (2, ''); INSERT INTO u VALUES (1, 'junk');
