INSERT INTO t VALUES (0, UUID()), (7, UUID()), (-3, NULL); INSERT INTO s VALUES (65535, '::1'), (0, '::2'), (4, '::3');
