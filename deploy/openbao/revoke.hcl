# Flow `revoke`, beside `scan`.

# The value, which is tried before and after; and taken out of its copies with `--scrub`, former versions included.
path "kv/data/*" { capabilities = ["update"] }
path "kv/destroy/*" { capabilities = ["update"] }

# A token, its lookup by value before and after, and its end.
path "auth/token/lookup" { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }

# A secret-id: whose is it, its end, and by the rules above the end of the tokens that it gave.
path "auth/approle/role/+/secret-id/lookup" { capabilities = ["update"] }
path "auth/approle/role/+/secret-id-accessor/destroy" { capabilities = ["update"] }

# All leases below a prefix.
path "sys/leases/revoke-prefix/*" { capabilities = ["update", "sudo"] }

# An entity, which is disabled.
path "identity/entity/id/*" { capabilities = ["read", "update"] }
path "identity/entity/name/*" { capabilities = ["read"] }
