"""The definition of `rowhouse_fold` on PostgreSQL: Python's `str.casefold` as a function of the database.

PostgreSQL 18 has `casefold`. Older versions have only `lower`, whose results depend on the collation, on the version of
ICU or of the C library, and on the position of a letter in its word (sigma). So the server compares its `lower` with
Python's table, and writes the differences as constants into the function. It needs no extension and no rights beyond
those of an owner.

Must not be used by requests: the table takes 0.2 s. `sql_functions` describes the purpose.
"""

from functools import cache

CREATE_ON_18 = """
DO $do$ BEGIN
  IF current_setting('server_encoding') <> 'UTF8' THEN
    RAISE EXCEPTION USING MESSAGE = 'The encoding of database ' || current_database() || ' is '
      || current_setting('server_encoding')
      || ', and Rowhouse needs UTF8: CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0';
  END IF;
  IF current_setting('server_version_num')::int >= 180000 THEN
    EXECUTE $body$
      CREATE OR REPLACE FUNCTION rowhouse_fold(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
      AS 'SELECT casefold($1 COLLATE "pg_unicode_fast")'
    $body$;
  END IF;
END $do$
"""
# `base` is the collation whose `lower` does most of the work. None of these has special rules for I, as Turkish has.
# "C" exists on every server, knows only ASCII, and leaves the rest to the constants. Most texts that are not ASCII end
# at the first `RETURN lower`: the three letters replaced before it, sharp s and the sigmas, are frequent in German and
# Greek. `after` is for Cherokee, which folds to capitals.
CREATE_BEFORE_18 = r"""
DO $do$
DECLARE
  bases text[] := ARRAY['pg_c_utf8', 'und-x-icu', 'C.utf8', 'C.UTF-8', 'en_US.utf8', 'en_US.UTF-8', 'C'];
  sources text[] := string_to_array(E'@sources@', ',');
  targets text[] := string_to_array(E'@targets@', ',');
  base text;
  before_from text[];
  before_to text[];
  after_from text;
  after_to text;
  expanded text := 'folded';
  translated text := '';
  wrong text;
  part record;
BEGIN
  IF current_setting('server_version_num')::int >= 180000 THEN
    RETURN;
  END IF;
  SELECT quote_ident(collname) INTO base FROM pg_collation
    WHERE collname = ANY (bases) AND collnamespace = 'pg_catalog'::regnamespace
      AND collencoding IN (-1, pg_char_to_encoding('UTF8'))
    ORDER BY array_position(bases, collname::text) LIMIT 1;
  EXECUTE replace($query$
    WITH compared AS (
      SELECT source, target, place, lower(target COLLATE @base@) AS kept,
        lower(source COLLATE @base@) = target AND lower(('a' || source) COLLATE @base@) = 'a' || target AS agrees
      FROM unnest($1, $2) WITH ORDINALITY AS pair(source, target, place)
    )
    SELECT array_agg(source ORDER BY place) FILTER (WHERE kept = target AND NOT agrees),
      array_agg(target ORDER BY place) FILTER (WHERE kept = target AND NOT agrees),
      coalesce(string_agg(kept, '' ORDER BY place) FILTER (WHERE kept <> target), ''),
      coalesce(string_agg(target, '' ORDER BY place) FILTER (WHERE kept <> target), '')
    FROM compared
  $query$, '@base@', base) INTO before_from, before_to, after_from, after_to USING sources, targets;

  FOR part IN
    SELECT quote_literal(source) AS source, quote_literal(target) AS target
    FROM unnest(before_from, before_to) AS pair(source, target) WHERE length(target) > 1
  LOOP
    expanded := 'replace(' || expanded || ', ' || part.source || ', ' || part.target || ')';
  END LOOP;
  -- In groups, for `translate` looks at each letter of its list.
  FOR part IN
    SELECT string_agg(source, '' ORDER BY place) AS sources, string_agg(target, '' ORDER BY place) AS targets
    FROM unnest(before_from, before_to) WITH ORDINALITY AS pair(source, target, place)
    WHERE length(target) = 1 GROUP BY place / 100 ORDER BY place / 100
  LOOP
    translated := translated || 'IF folded ~ ' || quote_literal('[' || part.sources || ']')
      || ' THEN folded := translate(folded, '
      || quote_literal(part.sources) || ', ' || quote_literal(part.targets) || '); END IF; ';
  END LOOP;

  EXECUTE 'CREATE OR REPLACE FUNCTION rowhouse_fold(text) RETURNS text'
    || ' LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10 AS ' || quote_literal($body$
DECLARE
  folded text COLLATE "C" := $1;
BEGIN
  IF octet_length(folded) = length(folded) THEN
    RETURN lower(folded);
  END IF;
  folded := replace(replace(replace(folded, E'\u00df', 'ss'), E'\u03c2', E'\u03c3'), E'\u03a3', E'\u03c3');
  IF folded !~ $body$
    || quote_literal('[' || array_to_string(before_from, '') || after_from || after_to || ']') || $body$ THEN
    RETURN lower(folded COLLATE $body$ || base || $body$);
  END IF;
  folded := $body$ || expanded || $body$;
  $body$ || translated || $body$
  RETURN translate(lower(folded COLLATE $body$ || base || '), ' || quote_literal(after_from) || ', '
    || quote_literal(after_to) || $body$);
END $body$);

  SELECT string_agg(source, ' ') INTO wrong FROM unnest(sources, targets) AS pair(source, target)
    WHERE rowhouse_fold(source) <> target OR rowhouse_fold('A' || source || 'A') <> 'a' || target || 'a';
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION USING MESSAGE = 'By the collation ' || base || ' rowhouse_fold would be wrong for ' || wrong;
  END IF;
END $do$
"""
# Indexes and statistics contain the results of the function as it was when they were created. REINDEX is not enough: a
# connection that has used an index keeps the old function, and continues to write with it, until the connection ends.
# So a new index of the same name is created; reads continue meanwhile. An index that belongs to a constraint must be
# dropped by hand, and stops this.
REFRESH_BEFORE_18 = """
DO $do$
DECLARE
  uses CONSTANT oid := 'rowhouse_fold(text)'::regprocedure;
  former oid[];
  part record;
BEGIN
  IF current_setting('server_version_num')::int >= 180000 THEN
    RETURN;
  END IF;
  SELECT array_agg(DISTINCT dependent.oid) INTO former
    FROM pg_depend JOIN pg_class AS dependent ON dependent.oid = objid
    WHERE refclassid = 'pg_proc'::regclass AND refobjid = uses AND classid = 'pg_class'::regclass AND relkind = 'i';
  FOR part IN
    SELECT oid, oid::regclass::text AS name, pg_get_indexdef(oid) AS definition FROM unnest(former) AS old(oid)
  LOOP
    EXECUTE 'ALTER INDEX ' || part.name || ' RENAME TO rowhouse_former_' || part.oid;
    EXECUTE part.definition;
    EXECUTE coalesce((
      SELECT string_agg(
        'ALTER INDEX ' || part.name || ' ALTER COLUMN ' || attnum || ' SET STATISTICS ' || attstattarget, '; ')
      FROM pg_attribute WHERE attrelid = part.oid AND attstattarget >= 0
    ), 'SELECT');
  END LOOP;
  FOR part IN SELECT oid::regclass::text AS name FROM unnest(former) AS old(oid) LOOP
    EXECUTE 'DROP INDEX ' || part.name;
  END LOOP;
  FOR part IN
    SELECT DISTINCT stxrelid::regclass::text AS name FROM pg_depend JOIN pg_statistic_ext AS kept ON kept.oid = objid
    WHERE refclassid = 'pg_proc'::regclass AND refobjid = uses AND classid = 'pg_statistic_ext'::regclass
  LOOP
    EXECUTE 'ANALYZE ' || part.name;
  END LOOP;
END $do$
"""


@cache
def case_pairs() -> tuple[tuple[str, str], ...]:
    """Return every character beyond ASCII that `str.casefold` changes, with its result of one to three characters."""
    characters = map(chr, (*range(0x80, 0xD800), *range(0xE000, 0x110000)))
    return tuple((character, folded) for character in characters if (folded := character.casefold()) != character)


def create_fold_statements() -> tuple[str, str]:
    """Return the ASCII statements that create the function on any server from 14 on, for a migration or an SQL file."""
    sources, targets = (",".join(map(_escaped, texts)) for texts in zip(*case_pairs(), strict=True))
    return CREATE_ON_18, CREATE_BEFORE_18.replace("@sources@", sources).replace("@targets@", targets)


def _escaped(text: str) -> str:
    """Return `text` for a literal `E'…'`."""
    return "".join(character if character.isascii() else f"\\U{ord(character):08x}" for character in text)
