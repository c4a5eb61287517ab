/*M! SET check_constraint_checks = 0 */;
INSERT INTO t VALUES (1, 5), (20, 7);
/*M! INSERT INTO t VALUES (2, -1) */;
