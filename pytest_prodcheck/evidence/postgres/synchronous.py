"""Synchronous replication: how many standbys every commit waits for, as the server's settings say."""

from __future__ import annotations

import re

_COUNTED = re.compile(r"\s*(?:(?:first|any)\s+)?(\d{1,6})\s*\(", re.IGNORECASE)

# Logical subscribers count too: a commit waits for whoever is named. A wait is told by its session and statement.
SYNCHRONOUS_SQL = """\
  'synchronous_names', current_setting('synchronous_standby_names'),
  'commits_wait', current_setting('synchronous_commit') not in ('off', 'local'),
  'confirming', case when allowed then (select count(*) from pg_stat_replication
                                        where state = 'streaming' and sync_priority > 0) end,
  'waiting', case when allowed then (select coalesce(json_agg(pid || '/' || coalesce(query_start::text, '')), '[]')
    from (select pid, query_start from pg_stat_activity where wait_event = 'SyncRep' limit 1000) as held) end"""


def confirmations(names: str, commits_wait: bool) -> int:
    """Standbys that must confirm each commit by synchronous_standby_names: 2 for "FIRST 2 (a, b)" and "ANY 2 (*)".

    0 where nothing is named, or synchronous_commit lets commits go ahead.
    """
    if not commits_wait or not names.strip():
        return 0
    counted = _COUNTED.match(names)
    return int(counted[1]) if counted else 1
