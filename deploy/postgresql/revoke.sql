-- Flow `revoke`, beside `scan`.
-- ALTER ROLE … NOLOGIN PASSWORD NULL, and from PostgreSQL 16 on the same grants as for `rotate`.
ALTER ROLE claviger_backend CREATEROLE;
-- Sessions that live on are seen, and ended.
GRANT pg_signal_backend TO claviger_backend;
