INSERT INTO t VALUES (1, _latin1 X'c3a4e282acf09f9880', CONVERT(X'c383c2a4c3a2c282c2ac' USING utf8mb4)), (2, _latin1 X'8190', 'x');
