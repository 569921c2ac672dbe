"""${message[:1].upper() + message[1:].rstrip(".")}.

Revision: ${up_revision}, after ${down_revision | comma,n}; ${create_date}
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}
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
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Undo."""
    ${downgrades if downgrades else "pass"}
