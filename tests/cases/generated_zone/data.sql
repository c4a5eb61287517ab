INSERT INTO plain (id, ts) VALUES (1, NULL), (2, '2024-03-31 01:30:00');
INSERT INTO utc (id, ts) VALUES (1, '2024-03-31 01:30:00.987'), (2, NULL), (3, '2024-12-31 23:59:59.999');
INSERT INTO zoned (id, `odd ``ts`) VALUES (1, '2024-03-31 01:30:00');
INSERT INTO other (id, ts) VALUES (1, '2024-03-31 01:30:00');
SET time_zone = '+05:45';
INSERT INTO plain (id, ts) VALUES (3, '2024-03-31 01:30:00');
INSERT INTO zoned (id, `odd ``ts`) VALUES (2, NULL), (3, '2024-03-31 01:30:00');
INSERT INTO other (id, ts) VALUES (2, '2024-03-31 01:30:00');
