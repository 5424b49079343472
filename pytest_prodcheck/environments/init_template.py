"""The file that `prodcheck init` writes: valid as it is, and a place to uncomment the rest of it.

Lines that begin with `#` and no space are configuration, and valid too once uncommented.
"""

SCHEMA_FILE = "prodcheck.schema.json"  # beside it, so that editors complete keys without a network
STARTER = """\
# What prodcheck validates. Commands that send nothing:
#   prodcheck env production              this, resolved, with the line that each value comes from
#   prodcheck plan --env production       dry run: the requests that a run would send
#   prodcheck schema > prodcheck.schema.json   after an upgrade: what editors complete keys by
version = 1
project = "my-service"

[environments.production]
protected = true  # read-only, and a verdict needs a --revision
# each kind of target is declared, or said to be absent
absent    = ["auth", "workflows", "postgres", "redis"]

[environments.production.services.web]
url     = "https://www.example.com"
health  = "/healthz"
version = { path = "/version", pointer = "/revision" }  # must be the --revision that was deployed

# Everything below is optional: take the `#` away that stands right before a word or a bracket.

#[environments.production.services.api]
#url     = "https://api.example.com"
#owner   = "team-api"
#health  = "/healthz"
#tls     = { verify = "on" }  # or the file of a private CA: { ca = "ca.pem" }

# One request each, and what its answer has to be. `allow` says who may: without login it must be refused.
#[environments.production.services.api.endpoints]
#products = { request = "GET /products", status = 200, content_type = "application/json", budget = "300ms" }
#account  = { request = "GET /account", as = "customer", status = 200, allow = ["customer"] }

# Secrets are references, never values: { env = … }, { file = … } or { command = [ … ] }.
#[environments.production.auth]
#kind    = "json"
#service = "api"
#login   = "POST /login"
#token   = "/token"
#[environments.production.auth.roles]
#customer = { user = "prodcheck", password = { env = "PRODCHECK_CUSTOMER" } }

#[environments.production.dependencies]
#mail = { tcp = "mail.example.com:587" }
#name = { dns = "www.example.com" }

# A second environment inherits: tables merge by key, lists and values replace, `name = false` removes a table.
#[environments.staging]
#extends   = "production"
#protected = false
#[environments.staging.services.web]
#url = "https://www.staging.example.com"

# Limits: id or id@target, globs allowed; an environment's own table wins.
#[thresholds]
#"smoke.service.latency"     = { warn = "500ms", fail = "2s" }
#"smoke.service.latency@api" = { warn = "300ms", fail = "1s" }

# A gate of your own; every suite has one of its own name.
#[gates.after]
#environments = ["production"]
#select       = ["smoke.*"]
#require      = ["smoke.service.health"]
#max_age      = "15m"

# A reviewed, dated exception.
#[[waivers]]
#check       = "smoke.service.latency"
#target      = "web"
#environment = "production"
#reason      = "the cache is being moved"
#owner       = "team-web"
#ticket      = "WEB-1"
#expires     = 2027-01-31
"""
