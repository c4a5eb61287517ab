INSERT INTO parent VALUES (1), (2); INSERT INTO {other}.child VALUES (1, 1), (2, NULL);
