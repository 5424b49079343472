"""The project whose prodcheck.toml is judged here."""

from __future__ import annotations

SELECT = ("smoke.metrics.*", "pre_deploy.monitoring.*", "pre_deploy.resources.*")
TOML = """\
version = 1
project = "shop"

[environments.live]
revision = "good"
[environments.live.services.cart]
url     = "http://127.0.0.1:9"
vantage = "nowhere"
[environments.live.services.orders]
url     = "http://127.0.0.1:9"
vantage = "nowhere"

[environments.live.prometheus]
url = "http://PROMETHEUS"
timeout = "5s"

[environments.live.metrics.error-ratio]
query       = '''
sum(rate(http_requests_total{service="{service}",revision="{revision}",code=~"5.."}[{window}]))
/ sum(rate(http_requests_total{service="{service}",revision="{revision}"}[{window}]))
'''
samples     = 'sum(increase(http_requests_total{service="{service}",revision="{revision}"}[{window}]))'
min_samples = 100
empty_numerator = 0
per         = "service"
recent      = "5s"
[environments.live.metrics.p95]
query       = '''
histogram_quantile(0.95, sum by (le) (rate(
  http_request_duration_seconds_bucket{service="{service}",revision="{revision}"}[{window}])))
'''
samples     = 'sum(increase(http_request_duration_seconds_count{service="{service}",revision="{revision}"}[{window}]))'
min_samples = 100
per         = "service"
at_most     = { warn = "1s", fail = "2.5s" }
severity    = "high"
recent      = "5s"

[environments.live.alerts]
required     = ["ShopDown", "WorkerDown"]
deadman      = "Watchdog"
receivers    = ["team-shop", "escalation"]
alertmanager = "http://ALERTMANAGER"
quiet        = { match = 'severity="critical",namespace=~"shop|till"', for = "500ms" }

[environments.live.hosts.web]
source = "prometheus"
match  = 'job="node",role="web"'
expect = 2
mounts = ["/", "/var"]

[thresholds]
"smoke.metrics.error-ratio" = { warn = "1%", fail = "5%" }

[gates.monitoring]
select = [SELECT]
window = "60s"
""".replace("[SELECT]", str(list(SELECT)))
