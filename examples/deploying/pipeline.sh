#!/usr/bin/env bash
# Deploys $GIT_SHA to $TARGET (production). Ends with 0 if it is deployed, and badly otherwise.
set -uo pipefail
: "${GIT_SHA:?the revision to deploy}"
target=${TARGET:-production}
page=${PAGE:-echo PAGE:}

prodcheck deploy --env "$target" --revision "$GIT_SHA" --dry-run || exit

rc=0
prodcheck deploy --env "$target" --revision "$GIT_SHA" ${AUTO_APPROVE:+--auto-approve} || rc=$?
case $rc in
  0) echo "deployed $GIT_SHA" ;;
  1 | 3) echo "a gate is closed; nothing was changed" ;;
  2 | 4) $page "the pipeline of $target is wrong ($rc)" ;;
  20) echo "rolled back; the old revision passed its gate" ;;
  22) echo "waiting for approval: prodcheck deploy --env $target --revision $GIT_SHA --approve" ;;
  23) echo "another deployment is in progress" ;;
  *) $page "deployment of $GIT_SHA to $target: a person must act ($rc)" ;;  # 21, and any other code
esac
exit "$rc"
