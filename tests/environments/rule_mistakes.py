"""Mistakes in prodcheck.toml, each with the place and the words in which it is told."""

from __future__ import annotations

# (what is added to BASE, the one line that must be told)
FIXED = '[environments.dev.auth]\nkind = "token"\nservice = "shop"\nlogin = "GET /me"\n'


RULES = {
    "unknown key": (
        'helth = "/h"',
        "prodcheck.toml:5: environments.dev.services.shop.helth: unknown key (did you mean `health`?)",
    ),
    "unknown table": (
        "[environments.dev.servces.x]",
        "prodcheck.toml:5: environments.dev.servces: unknown key (did you mean `services`?)",
    ),
    "unknown top key": ("[gate.x]", "prodcheck.toml:5: gate: unknown key (did you mean `gates`?)"),
    "key of the loader": ('[environments.e]\nname = "x"', "prodcheck.toml:6: environments.e.name: unknown key"),
    "gate_defaults": ("[gate_defaults]", "gate_defaults: unknown key (did you mean `gates.defaults`?)"),
    "gates.defaults key": (
        '[gates.defaults]\ncritcal = "warn"',
        ":6: gates.defaults.critcal: unknown key (did you mean `critical`?)",
    ),
    "string for bool": ('public = "yes"', ":5: environments.dev.services.shop.public: expected true or false"),
    "string for number": (
        '[environments.dev.gathering]\nat_once = "64"',
        ":6: environments.dev.gathering.at_once: expected a whole number",
    ),
    "too small": ("[environments.dev.gathering]\nat_once = 0", "at_once: expected at least 1"),
    "bad url": (
        '[environments.dev.services.b]\nurl = "shop"',
        ":6: environments.dev.services.b.url: expected an address such as",
    ),
    "url with password": ('[environments.dev.services.b]\nurl = "https://u:hunter22@x"', "without user and password"),
    "missing url": ("[environments.dev.services.b]", ":5: environments.dev.services.b: nothing about this service"),
    "url forgotten": (
        '[environments.dev.services.b]\nhealth = "/"',
        ":5: environments.dev.services.b: `url` is missing: `health` cannot",
    ),
    "table expected": ("version = 3", ":5: environments.dev.services.shop.version: expected a table"),
    "no duration": ('timeout = "5 apples"', ":5: environments.dev.services.shop.timeout: expected a duration"),
    "endless duration": (
        "timeout = inf",
        ":5: environments.dev.services.shop.timeout: expected a duration greater than zero",
    ),
    "union": ("redirect = 5", ":5: environments.dev.services.shop.redirect: expected true or false or "),
    "nothing to remove": (
        "[environments.dev.services]\nold = false",
        ":6: environments.dev.services.old: there is no inherited value to remove here",
    ),
    "bad name": ('[environments.dev.services."a b"]\nurl = "https://x"', "expected a name of letters, digits"),
    "bad environment name": ('[environments."a b"]', 'prodcheck.toml:5: environments."a b": expected a name'),
    "plain secret": (
        '[environments.dev.redis.r]\nnodes = ["a:1"]\npassword = "hunter22"',
        ":7: environments.dev.redis.r.password: expected a secret reference",
    ),
    "two ways to a secret": (
        '[environments.dev.redis.r]\nnodes = ["a:1"]\npassword = { env = "A", file = "b" }',
        ":7: environments.dev.redis.r.password: expected exactly one of",
    ),
    "unit's service": (
        '[environments.dev.units.u]\nservices = ["shp"]',
        ":6: environments.dev.units.u.services[0]: there is no service `shp` (did you mean `shop`?)",
    ),
    "absent kind": (
        '[environments.e]\nabsent = ["redsi"]',
        "environments.e.absent[0]: there is no kind `redsi` (did you mean `redis`?)",
    ),
    "absent but declared": (
        '[environments.e]\nabsent = ["services"]\n[environments.e.services.a]\nurl = "https://a"',
        ":6: environments.e.absent[0]: `services` is listed as absent, but declared",
    ),
    "missing ca": (
        'tls = { ca = "no.pem" }',
        "prodcheck.toml:5: environments.dev.services.shop.tls.ca: there is no file 'no.pem'",
    ),
    "missing certificate": ('tls = { certificate = "no.pem" }', "tls.certificate: there is no file 'no.pem'"),
    "key alone": ('tls = { key = "prodcheck.toml" }', "tls.key: `key` needs `certificate`"),
    "proxy and connect_to": (
        'proxy = "http://p:1"\nconnect_to = "a:1"',
        "shop.proxy: `proxy` and `connect_to` exclude each other",
    ),
    "redirect without tls": (
        '[environments.dev.services.b]\nurl = "http://x"\nredirect = true',
        ":7: environments.dev.services.b.redirect: `redirect` checks the redirect from http to https",
    ),
    "both credentials": (
        'authentication = { bearer = { env = "A" }, basic = { user = "u", password = { env = "B" } } }',
        "authentication: expected exactly one of `basic` and `bearer`",
    ),
    "credential header": ('headers = { Authorization = "Bearer x" }', "headers.Authorization: credentials in a header"),
    "credential header of an endpoint": (
        'endpoints.e = { request = "GET /", status = 401, headers = { Authorization = "Bearer x" } }',
        "or { env = … } as a value of the service's `headers`",
    ),
    "bad header name": ('headers = { "A B" = "x" }', 'headers."A B": is not a valid HTTP header name'),
    "line break in header": ('headers = { A = "x\\r\\nB: y" }', "headers.A: expected plain text"),
    "role of endpoint": (
        'endpoints.a = { request = "GET /", status = 200, as = "boss" }',
        "endpoints.a.as: there is no role `boss` (there are none)",
    ),
    "allowed role": (
        'endpoints.a = { request = "GET /", allow = ["anonymous", "boss"] }',
        "endpoints.a.allow[1]: there is no role `boss`",
    ),
    "nobody is allowed": (
        'endpoints.a = { request = "GET /", allow = [] }',
        "endpoints.a.allow: no role has access (positive control), and a refusal alone proves nothing",
    ),
    "control": (
        'endpoints.a = { request = "PUT /", allow = ["anonymous"], control = "b" }',
        "endpoints.a.control: there is no endpoint of this service `b`",
    ),
    "own control": (
        'endpoints.a = { request = "GET /", status = 200, control = "a" }',
        "a.control: an endpoint cannot be its own control",
    ),
    "nothing judged": ('endpoints.a = { request = "GET /" }', "endpoints.a: nothing to check is declared"),
    "budget alone": (
        'endpoints.a = { request = "GET /", allow = ["anonymous"], budget = "1s" }',
        "a.budget: a budget needs a check of the answer",
    ),
    "no openapi": (
        'endpoints.a = { request = "GET /", schema = "openapi" }',
        "a.schema: the service declares no `openapi`",
    ),
    "missing schema": ('endpoints.a = { request = "GET /", schema = "s.json" }', "a.schema: there is no file 's.json'"),
    "request line": ('endpoints.a = { request = "FETCH /", status = 200 }', 'a.request: expected "METHOD /path"'),
    "status": ('endpoints.a = { request = "GET /", status = 99 }', "a.status: expected at least 100"),
    "no status": ('endpoints.a = { request = "GET /", status = [] }', "a.status: expected at least one entry"),
    "two of one name": (
        'endpoints."a.b" = { request = "GET /", status = 200 }\n[environments.dev.services."shop.a"]\nurl = "https://x"\n'
        'endpoints.b = { request = "GET /", status = 200 }',
        "shop.a.b is also an endpoint of shop",
    ),
    "auth service": (
        '[environments.dev.auth]\nkind = "basic"\nservice = "shp"\nlogin = "GET /me"',
        "auth.service: there is no service `shp` (did you mean `shop`?)",
    ),
    "auth without login": (
        '[environments.dev.auth]\nkind = "json"\nservice = "shop"\ntoken = "/t"',
        "auth: `login` is missing",
    ),
    "auth without token": (
        '[environments.dev.auth]\nkind = "form"\nservice = "shop"\nlogin = "POST /login"',
        "auth: `token` or `cookie` is missing",
    ),
    "auth kind": (
        '[environments.dev.auth]\nkind = "magic"',
        'auth.kind: expected "json", "form", "basic", "token", "client_credentials" or "oidc"',
    ),
    "oidc without issuer": ('[environments.dev.auth]\nkind = "oidc"', "auth: `issuer` is missing"),
    "oidc and passwords": (
        '[environments.dev.auth]\nkind = "oidc"\nissuer = "https://i"\nwrong_password = { user = "x" }\n'
        'roles.r = { client_id = "c", client_secret = { env = "A" } }',
        'auth.wrong_password: kind = "oidc" has no password login',
    ),
    "logout": (
        '[environments.dev.auth]\nkind = "basic"\nservice = "shop"\nlogin = "GET /me"\nlogout_revokes = true',
        "auth.logout_revokes: `logout` is missing",
    ),
    "role without password": (
        '[environments.dev.auth]\nkind = "basic"\nservice = "shop"\nlogin = "GET /me"\nroles.r = { user = "r" }',
        "auth.roles.r: `password` is missing",
    ),
    "fixed token without a request": (
        '[environments.dev.auth]\nkind = "token"\nservice = "shop"',
        'auth: `login` is missing: kind = "token" needs it (a request that needs the token, such as "GET /orders")',
    ),
    "role without token": (
        f'{FIXED}roles.r = {{ user = "r", password = {{ env = "A" }} }}',
        'auth.roles.r: `token` is missing: kind = "token" needs it',
    ),
    "token readable": (f'{FIXED}roles.r = {{ token = "t" }}', "auth.roles.r.token: expected"),
    "token of another kind": (
        '[environments.dev.auth]\nkind = "basic"\nservice = "shop"\nlogin = "GET /me"\n'
        'roles.r = { user = "r", password = { env = "A" }, token = { env = "B" } }',
        'auth.roles.r.token: only kind = "token" has it, and this is "basic"',
    ),
    "header of another kind": (
        '[environments.dev.auth]\nkind = "basic"\nservice = "shop"\nlogin = "GET /me"\nheader = "X-Key"',
        'auth.header: only kind = "token" has it',
    ),
    "fixed token and logout": (f'{FIXED}logout = "POST /logout"', 'auth.logout: kind = "token" has neither a login'),
    "fixed token and passwords": (
        f'{FIXED}wrong_password = {{ user = "x" }}\nroles.r = {{ token = {{ env = "A" }} }}',
        'auth.wrong_password: kind = "token" has no password login',
    ),
    "fixed token in a cookie": (f'{FIXED}header = "Cookie"', "auth.header: Cookie cannot carry a token"),
    "header of a token": (f'{FIXED}header = "X Key"', "auth.header: is not a valid HTTP header name"),
    "token for everybody": (
        f'{FIXED}header = "X-Key"\n[environments.dev]\nheaders = {{ x-key = {{ env = "A" }} }}',
        "headers.x-key: is sent with every request, so nobody is ever without the token of [auth]",
    ),
    "protected endpoint": (
        '[environments.dev.auth]\nkind = "basic"\nservice = "shop"\nlogin = "GET /me"\nprotected = "shop.acount"',
        "auth.protected: there is no endpoint `shop.acount`",
    ),
    "step's service": (
        '[environments.dev.workflows.w]\nsteps = [{ name = "a", request = "GET shp:/" }]',
        ":6: environments.dev.workflows.w.steps[0].request: there is no service `shp`",
    ),
    "step's role": (
        '[environments.dev.workflows.w]\nsteps = [{ name = "a", request = "GET shop:/", as = "boss" }]',
        "steps[0].as: there is no role `boss`",
    ),
    "step's unit": (
        '[environments.dev.workflows.w]\nunit = "u"\nsteps = [{ name = "a", request = "GET shop:/" }]',
        "workflows.w.unit: there is no unit `u`",
    ),
    "two steps of a name": (
        '[environments.dev.workflows.w]\nsteps = [\n{ name = "a", request = "GET shop:/" },\n{ name = "a", request = "GET shop:/" }]',  # noqa: E501
        ":8: environments.dev.workflows.w.steps[1].name: two steps are named `a`",
    ),
    "captured too late": (
        '[environments.dev.workflows.w]\nsteps = [{ name = "a", request = "GET shop:/{id}", capture = { id = "/id" } }]',  # noqa: E501
        "steps[0]: {id} is not captured by an earlier step",
    ),
    "no step": ("[environments.dev.workflows.w]\nsteps = []", "w.steps: expected at least one entry"),
    "step line": (
        '[environments.dev.workflows.w]\nsteps = [{ name = "a", request = "GET /" }]',
        'expected "METHOD service:/path"',
    ),
    "unknown variable": (
        'endpoints.a = { request = "GET /{skuu}", status = 200 }\n[environments.dev.vars]\nsku = "1"',
        "endpoints.a.request: no variable `skuu` in vars (did you mean `sku`?; write `{{skuu}}` for the literal text)",
    ),
    "reserved variable": (
        '[environments.dev.vars]\nrun = "1"',
        ":6: environments.dev.vars.run: {run} is set by prodcheck",
    ),
    "variable in variable": ('[environments.dev.vars]\na = "{b}"', "vars.a: {b} is not replaced here"),
    "{run} in a path": ('endpoints.a = { request = "GET /{run}", status = 200 }', "a.request: {run} is not known here"),
    "more nodes than there are": (
        '[environments.dev.postgres.p]\nnodes = ["a:1"]\nexpect = { primaries = 1, standbys = 1 }',
        "postgres.p.expect: 1 primaries and 1 standbys are expected, but 1 nodes are declared",
    ),
    "node twice": ('[environments.dev.redis.r]\nnodes = ["a:1", "a:1"]', "redis.r.nodes[1]: a:1 is listed twice"),
    "node": ('[environments.dev.redis.r]\nnodes = ["a"]', 'redis.r.nodes[0]: expected "HOST:PORT"'),
    "synchronous": (
        '[environments.dev.postgres.p]\nnodes = ["a:1", "b:1"]\nexpect = { primaries = 1, standbys = 1, synchronous = 2 }',  # noqa: E501
        "expect.synchronous: more synchronous standbys than standbys",
    ),
    "dependency": ("[environments.dev.dependencies]\nd = {}", "dependencies.d: expected exactly one of `dns`"),
    "slot's service": (
        '[environments.dev.slots.green]\nservices = { shp = "a:1" }',
        "slots.green.services.shp: there is no service `shp`",
    ),
    "empty slot": ("[environments.dev.slots.green]", "slots.green: does not say where the slot is"),
    "slot and proxy": (
        'proxy = "http://p:1"\n[environments.dev.slots.green]\nconnect_to = "a:1"',
        "slots.green: service shop has a `proxy`",
    ),
    "own collector": ("[environments.dev.own.service]\na = 1", "own.service: is the name of a built-in kind of target"),
    "unknown parent": (
        '[environments.e]\nextends = "dv"',
        ":6: environments.e.extends: there is no environment `dv` (did you mean `dev`?)",
    ),
    "circle": (
        '[environments.a]\nextends = "b"\n[environments.b]\nextends = "a"',
        "environments.a.extends: environments extend each other in a loop: a -> b -> a",
    ),
    "extends itself": (
        '[environments.a]\nextends = "a"',
        "environments.a.extends: environments extend each other in a loop: a -> a",
    ),
    "extends a number": ("[environments.a]\nextends = 1", "extends: expected the name of an environment"),
    "environment is a string": ('[environments]\na = "b"', "environments.a: expected a table"),
    "empty threshold": ('[thresholds]\n"smoke.x" = {}', ':6: thresholds."smoke.x": expected `warn`, `fail` or both'),
    "threshold's unit": ('[thresholds]\n"smoke.x" = { warn = "5 apples" }', 'thresholds."smoke.x".warn: unknown unit'),
    "threshold's units": (
        '[thresholds]\n"smoke.x" = { warn = "5s", fail = "3%" }',
        "`warn` and `fail` have different units",
    ),
    "threshold's value": ('[thresholds]\n"smoke.x" = "on"', 'thresholds."smoke.x": expected "off" or a table'),
    "threshold's glob": (
        '[thresholds]\n"smoke.[x" = { fail = 1 }',
        'thresholds."smoke.[x": unbalanced `[` and `]`',
    ),
    "threshold's pattern": (
        '[thresholds]\n"smoke x" = { fail = 1 }',
        'thresholds."smoke x": expected a check id or id@target',
    ),
    "threshold for nobody": ('[thresholds]\n"smoke.x@" = { fail = 1 }', "expected a check id or id@target"),
    "off where protected (45)": (
        '[environments.p]\nprotected = true\n[environments.p.thresholds]\n"smoke.x" = "off"',
        ':8: environments.p.thresholds."smoke.x": "off" is not allowed for protected',
    ),
    "off for all, one protected (45)": (
        '[thresholds]\n"smoke.x" = "off"\n[environments.p]\nprotected = true',
        ':6: thresholds."smoke.x": "off" is not allowed for protected environments (it applies to p)',
    ),
    "gate's environment": (
        '[gates.g]\nselect = ["smoke.*"]\nenvironments = ["prod"]',
        ":7: gates.g.environments[0]: there is no environment `prod` (there is dev)",
    ),
    "abstract environment": (
        '[gates.g]\nselect = ["smoke.*"]\nenvironments = ["b"]\n[environments.b]\nabstract = true',
        "gates.g.environments[0]: environment `b` is abstract",
    ),
    "gate without select (13)": ("[gates.g]", ":5: gates.g: `select` is missing"),
    "gate selects nothing (13)": ("[gates.g]\nselect = []", ":6: gates.g.select: selects nothing"),
    "gate's pattern": (
        '[gates.g]\nselect = ["smoke.*@shop"]',
        "gates.g.select[0]: expected a check id without a target",
    ),
    "required glob": (
        '[gates.g]\nselect = ["smoke.*"]\nrequire = ["smoke.*"]',
        "gates.g.require[0]: expected a check id or id@target without globs",
    ),
    "required but left out": (
        '[gates.smoke]\nrequire = ["smoke.a@b"]\nwithout = ["smoke.*"]',
        "gates.smoke.require[0]: is required, but `without` excludes it",
    ),
    "gate's slot": (
        '[gates.smoke]\nslot = "required"\nenvironments = ["dev"]',
        "gates.smoke.slot: a slot is required, but environment `dev` declares none",
    ),
    "needed gate": (
        '[gates.smoke]\nneeds = [{ gate = "dev:smok" }]',
        "gates.smoke.needs[0].gate: there is no gate `smok` (did you mean `smoke`?)",
    ),
    "needed environment": (
        '[gates.smoke]\nneeds = [{ gate = "stg:smoke" }]',
        "needs[0].gate: there is no environment `stg`",
    ),
    "needed elsewhere": (
        '[gates.smoke]\nenvironments = ["dev"]\n[gates.g]\nselect = ["smoke.*"]\nneeds = [{ gate = "e:smoke" }]\n[environments.e]',  # noqa: E501
        "gates.g.needs[0].gate: gate `smoke` is not for environment `e`",
    ),
    "gate's action": ('[gates.smoke]\nlow = "ignore"', 'gates.smoke.low: expected "block", "warn" or "note"'),
    "gate's date": (
        "[gates.smoke]\nobserve_until = 2027-01-01T00:00:01",
        "gates.smoke.observe_until: expected a date such as",
    ),
    "waiver's reason": (
        '[[waivers]]\ncheck = "a"\ntarget = "b"\nenvironment = "dev"\nreason = ""\nowner = "o"\nticket = "t"\nexpires = 2027-01-01',  # noqa: E501
        ":9: waivers[0].reason: expected a string that is not empty",
    ),
    "waiver's environment": (
        '[[waivers]]\ncheck = "a"\ntarget = "b"\nenvironment = "prod"\nreason = "r"\nowner = "o"\nticket = "t"\nexpires = 2027-01-01',  # noqa: E501
        ":8: waivers[0].environment: there is no environment `prod`",
    ),
    "waiver twice": (
        2
        * '[[waivers]]\ncheck = "a"\ntarget = "b"\nenvironment = "dev"\nreason = "r"\nowner = "o"\nticket = "t"\nexpires = 2027-01-01\n',  # noqa: E501
        ":13: waivers[1]: repeats waiver number 1",
    ),
    "waiver without end": (
        '[[waivers]]\ncheck = "a"\ntarget = "b"\nenvironment = "dev"\nreason = "r"\nowner = "o"\nticket = "t"',
        ":5: waivers[0]: `expires` is missing",
    ),
    "seal by command": ('[seal]\nkey = { command = ["x"] }', "seal.key: `prodcheck gate` does not run commands"),
    "later suite": (
        "[environments.dev.slo.browse]\nrate = 1",
        ":5: environments.dev.slo: belongs to the performance suite, which this version does not have",
    ),
    "later key of a table": (
        '[environments.dev.redis.r]\nnodes = ["a:1"]\nbackups = { kind = "x" }',
        ":7: environments.dev.redis.r.backups: belongs to the pre_deploy suite",
    ),
}


TOP = {
    "checks": ('checks = ["nowhere"]', ":2: checks[0]: there is no folder 'nowhere'"),
    "runbooks": ('runbooks = "https://x/"', ":2: runbooks: expected an address with {runbook} in it"),
    "checks is a string": ('checks = "checks"', ":2: checks: expected a list in [ ]"),
}
