SET foreign_key_checks = 0; INSERT INTO t VALUES (1, 1), (2, 2), (3, NULL); INSERT INTO u VALUES (1, 2, 1), (2, 1, 1);
