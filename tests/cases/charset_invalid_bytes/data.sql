-- what a column holds whose bytes no check ever saw
SET sql_mode = '';
INSERT IGNORE INTO t VALUES (1, X'80FF41', X'8541FDFE', X'8130FFFF', X'C328');
INSERT INTO t VALUES (2, 'x', X'815C', X'815C', 'x');
