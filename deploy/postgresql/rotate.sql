-- Flow `rotate`, beside `scan`.
-- ALTER ROLE … PASSWORD. From PostgreSQL 16 on also, for each role: GRANT "<role>" TO claviger_backend WITH ADMIN OPTION, INHERIT FALSE, SET FALSE
ALTER ROLE claviger_backend CREATEROLE;
