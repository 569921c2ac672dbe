<%!
import re


def quoted(value):
    """A revision as ruff formats it; an identifier holds no quotes."""
    return repr(value).replace("'", '"')


def uses(name, *parts):
    """Whether a part of the file speaks of a module: one that is not used must not be imported."""
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
# It is applied only by scripts/migrate, not by scripts/run.
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
