"""What should not lie open: addresses, and how each content is told from a page that says "not found" with status 200.

The lists follow what scanners of exposed files ask for most (OWASP WSTG, "Review Old Backup and Unreferenced Files";
nuclei's exposures). Signatures are of contents, never of statuses.
"""

from __future__ import annotations

import re

REPOSITORY, SUBVERSION, MERCURIAL = "a git repository", "a Subversion working copy", "a Mercurial repository"
ENVIRONMENT, DUMP, ARCHIVE = "environment variables", "a database dump", "an archive"
DATABASE, KEY, CREDENTIALS = "a database file", "a private key", "credentials"
SOURCE, LISTED, LOG = "source code", "a folder's index file", "a log"
COMPOSE, STATE, ACCESS = "a deployment's description", "Terraform's state", "a password file"

# path below the service's address -> the content that must not be there
FILES = {
    "/.git/HEAD": REPOSITORY,
    "/.git/config": REPOSITORY,
    "/.svn/wc.db": SUBVERSION,
    "/.hg/requires": MERCURIAL,
    "/.env": ENVIRONMENT,
    "/.env.local": ENVIRONMENT,
    "/.env.production": ENVIRONMENT,
    "/.env.bak": ENVIRONMENT,
    "/backup.sql": DUMP,
    "/dump.sql": DUMP,
    "/database.sql": DUMP,
    "/db.sql.gz": ARCHIVE,
    "/backup.zip": ARCHIVE,
    "/backup.tar.gz": ARCHIVE,
    "/dump.rdb": DATABASE,
    "/db.sqlite3": DATABASE,
    "/id_rsa": KEY,
    "/server.key": KEY,
    "/.aws/credentials": CREDENTIALS,
    "/.npmrc": CREDENTIALS,
    "/.kube/config": CREDENTIALS,
    "/.htpasswd": ACCESS,
    "/wp-config.php.bak": SOURCE,
    "/index.php~": SOURCE,
    "/docker-compose.yml": COMPOSE,
    "/terraform.tfstate": STATE,
    "/.DS_Store": LISTED,
    "/debug.log": LOG,
}
ACTUATOR, HTTPD, PHP, PPROF = "Spring's actuator", "Apache's status page", "phpinfo()", "Go's profiler"
EXPVAR, WERKZEUG, PROFILER, ELMAH = "Go's expvar", "Werkzeug's console", "Symfony's profiler", "ASP.NET's error log"
H2, TELESCOPE, RAILS, JOLOKIA, NGINX = (
    "H2's console", "Laravel Telescope", "Rails' info page", "Jolokia", "nginx's status page",
)  # fmt: skip
DEBUG = {
    "/actuator": ACTUATOR,
    "/actuator/env": ACTUATOR,
    "/env": ACTUATOR,
    "/server-status": HTTPD,
    "/server-info": HTTPD,
    "/nginx_status": NGINX,
    "/phpinfo.php": PHP,
    "/info.php": PHP,
    "/debug/pprof/": PPROF,
    "/debug/vars": EXPVAR,
    "/console": WERKZEUG,
    "/_profiler/": PROFILER,
    "/elmah.axd": ELMAH,
    "/h2-console/": H2,
    "/telescope/requests": TELESCOPE,
    "/rails/info/properties": RAILS,
    "/jolokia/list": JOLOKIA,
}
LISTING = "a directory listing"
FOLDERS = ("/assets/", "/static/", "/images/", "/uploads/", "/files/", "/backup/")

_SIGNS = {
    REPOSITORY: r"\A(?:ref: refs/\S+\s*\Z|[0-9a-f]{40}(?:[0-9a-f]{24})?\s*\Z)"
    r"|^\[core\][^\S\n]*+$[\s\S]{0,400}?^[^\S\n]*+(?:repositoryformatversion|bare)",
    SUBVERSION: r"\ASQLite format 3\x00",
    MERCURIAL: r"\A(?:[a-z0-9=-]+\n)*(?:revlogv1|dotencode|fncache|store)\n",
    ENVIRONMENT: r"\A(?![\s\S]{0,400}<(?:html|!doctype|head))"
    r"(?:\s*+(?:#[^\n]*+|(?:export )?[A-Z][A-Z0-9_]*+=[^\n]*+)\n)*"
    r"\s*+(?:export )?[A-Z][A-Z0-9_]{2,}+=",
    DUMP: r"^(?:--|/\*)[^\n]{0,40}(?:PostgreSQL database|MySQL|MariaDB|SQLite|phpMyAdmin)[^\n]{0,80}dump"
    r"|\A(?:-- MySQL dump|PGDMP)"
    r"|^(?:CREATE TABLE|INSERT INTO|COPY) [`\"\w.\[\]]{1,200}+[^\n]{0,200}(?:\(|VALUES|FROM stdin)",
    ARCHIVE: r"\A[\s\S]{257}ustar|\A(?:PK\x03\x04|\x1f\ufffd\x08|7z\ufffd\ufffd'\x1c|BZh[1-9]1AY|\ufffd7zXZ)",
    DATABASE: r"\A(?:SQLite format 3\x00|REDIS[0-9]{4}|VALKEY[0-9]{3})",
    KEY: r"^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----|\APuTTY-User-Key-File-[0-9]: ",
    CREDENTIALS: r"^[ \t]*aws_secret_access_key\s*=|^//[^\n]{1,200}:_(?:auth(?:Token)?|password)="
    r"|^_auth(?:Token)? ?= ?\S"
    r"|^[ \t]*(?:client-key-data|token): \S",
    # the last one is DES of crypt(3): two characters of salt and eleven
    ACCESS: r"\A(?:#[^\n]*+\n)*+[\w.@-]{1,64}:(?:(?:\$(?:apr1|2[aby]|5|6|y)\$|\{(?:S?SHA|PLAIN)\})\S+"
    r"|(?=[a-z./]{0,12}[0-9A-Z])[./0-9A-Za-z]{13}\s*$)",
    SOURCE: r"\A\s*<\?php|^[ \t]*define\(\s*['\"]DB_PASSWORD",
    COMPOSE: r"^services:[^\S\n]*+\n(?:[^\n]*+\n){0,60}?[^\S\n]++(?:image|build):",
    STATE: r"\A\s*\{[\s\S]{0,400}\"terraform_version\"\s*:",
    LISTED: r"\A\x00\x00\x00\x01Bud1",
    LOG: r"\A(?:[^\n<]{0,200}\b(?:DEBUG|INFO|WARN(?:ING)?|ERROR)\b[^\n]*\n){2}"
    r"|\A\[[0-9]{2,4}-\w{2,3}-[0-9]{2,4}[ T][^\]\n]{5,30}\] "
    r"(?:PHP [A-Z]|\w{1,40}\.(?:DEBUG|INFO|NOTICE|WARNING|ERROR|CRITICAL|ALERT|EMERGENCY): )",
    ACTUATOR: r"\A\s*+\{(?:[\s\S]*?\"(?:propertySources|systemProperties)\"\s*+:|(?>[\s\S]*?\"_links\"\s*+:)[\s\S]*?/"
    r"(?:env|heapdump|threaddump|configprops|mappings|beans|loggers)\")",
    HTTPD: r"<title>Apache Status</title>|<h1>Apache Server (?:Status|Information)|<title>Server Information</title>",
    NGINX: r"\AActive connections: [0-9]+\s+server accepts handled requests",
    PHP: r"<title>(?:PHP [0-9.]+[^<]{0,40} - )?phpinfo\(\)</title>|<h1 class=\"p\">PHP Version",
    PPROF: r"Types of profiles available|<title>/debug/pprof/</title>",
    EXPVAR: r"\A\s*\{[\s\S]*\"memstats\"\s*:\s*\{",
    WERKZEUG: r"<title>Console // Werkzeug|EVALEX = true|CONSOLE_MODE = true",
    PROFILER: r"<title>Symfony Profiler</title>|id=\"sf-toolbar|class=\"sf-profiler",
    ELMAH: r"<title>Error log for|Powered by <a[^>]{0,200}>ELMAH",
    H2: r"<title>H2 Console</title>",
    TELESCOPE: r"<title>[^<]{0,60}Telescope[^<]{0,60}</title>|window\.Telescope =",
    RAILS: r"<th[^>]*>Rails version|<td class=\"name\">Rails version",
    JOLOKIA: r"\A\s*+\{(?>[\s\S]*?\"agent\")[\s\S]*?\"jolokia|\A\s*\{\"request\":\{\"type\":\"list\"\}",
    LISTING: r"(?i:<title>\s*(?:Index of|Directory listing (?:for|of)|Directory:|Listing (?:of|directory))"
    r" ?\[?(?:/|&#47;)"
    r"|<title>Files within [^<\n]{1,200}/</title>|<h1>\s*Index of /)"
    r"|\A(?:<!doctype html>\n<meta name=\"viewport\"[^>\n]{0,80}>\n)?<pre>\n<a href=\""  # Go's http.FileServer
    r"|<th class='name'>Name</th>\s{0,9}<th class='size'>|<div class=\"breadcrumbs\">Folder Path</div>"
    r"|\[To Parent Directory\]|<ListBucketResult|<EnumerationResults ",
}  # fmt: skip
_COMPILED = {name: re.compile(pattern, re.M) for name, pattern in _SIGNS.items()}
MOST = 16_384  # characters of an answer that are looked at


def signs(text: str) -> tuple[str, ...]:
    """The known contents that a text shows, by name."""
    start = text[:MOST].lstrip("\ufeff")
    return tuple(name for name, pattern in _COMPILED.items() if pattern.search(start))
