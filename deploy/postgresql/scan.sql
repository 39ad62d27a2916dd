-- Flow `scan` at a server whose roles are in the inventory. Run by a superuser in the database that `url` of the backend names: the grant holds
-- in that one alone. The role is one of its own, not the one of the lifecycle database.
-- Roles and their rights can be read by everybody.
-- Verifiers: which value in which store is this role's password?
GRANT SELECT (rolname, rolpassword) ON pg_authid TO claviger_backend;
