<%!
import re


def quoted(value):
    """Return a revision as ruff formats it."""
    return repr(value).replace("'", '"')


def uses(name, *parts):
    """Return True if a part of the file uses a module: an unused import is an error."""
    return any(re.search(rf"\b{name}\.", part) for part in parts if part)
%>\
"""${message[:1].upper() + message[1:].rstrip(".")}.

Revision: ${up_revision}, after ${down_revision | comma,n}; ${create_date}
"""

% if uses("sa", upgrades, downgrades):
import sqlalchemy as sa
% endif
% if uses("op", upgrades, downgrades):
from alembic import op
% endif
% if imports:
${imports}
% endif
% if imports or uses("sa", upgrades, downgrades) or uses("op", upgrades, downgrades):

% endif
revision = ${quoted(up_revision)}
down_revision = ${quoted(down_revision)}
branch_labels = ${quoted(branch_labels)}
depends_on = ${quoted(depends_on)}
% if config.attributes.get("loses"):
# Only `rowhouse migrate` applies it, not a start.
loses = (
% for loss in config.attributes["loses"]:
    ${repr(loss)},
% endfor
)
% endif


def upgrade() -> None:
    """Apply."""
% if upgrades and upgrades != "pass":
    ${upgrades}
% endif


def downgrade() -> None:
    """Undo."""
% if downgrades and downgrades != "pass":
    ${downgrades}
% endif
