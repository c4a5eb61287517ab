SET SESSION system_versioning_insert_history = 1;
INSERT INTO p (id, a, row_start, row_end) VALUES (1, 1, '2024-01-01 00:00:00.000001', '2024-01-05 00:00:00.000002'), (1, 2, '2024-01-05 00:00:00.000002', '2024-02-05 00:00:00.5'), (1, 3, '2024-02-05 00:00:00.5', '2024-03-05 00:00:00');
SET SESSION system_versioning_insert_history = 0;
INSERT INTO p VALUES (1, 4), (2, 5); UPDATE p SET a = a + 1;
INSERT INTO plain VALUES (1, 1), (1, 1); UPDATE plain SET a = 3; DELETE FROM plain LIMIT 1;
INSERT INTO auto VALUES (1, 1), (2, 2); UPDATE auto SET a = 3; DELETE FROM auto WHERE id = 2;
