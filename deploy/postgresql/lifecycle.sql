-- The lifecycle database, with which several workers share their work. Run by a superuser, once, on the server that keeps it.
-- Give the password by `\password claviger`, and to claviger by `database_password` of its configuration.
CREATE ROLE claviger LOGIN;
CREATE DATABASE claviger OWNER claviger;
-- A commit that was acknowledged must not be lost: claviger refuses a database where this is off.
ALTER DATABASE claviger SET synchronous_commit = on;
REVOKE ALL ON DATABASE claviger FROM PUBLIC;
