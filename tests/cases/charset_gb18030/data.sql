INSERT INTO t VALUES (1, CONVERT(X'e4b8adf09f9880c3a4e282ac' USING utf8mb4), CONVERT(X'e4b8adf09f9880' USING utf8mb4)), (2, '', '\\N'), (3, NULL, 'x');
