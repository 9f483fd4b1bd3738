-- The audit log: who changed what, when, from where; append-only for everybody, and a chain of hashes for each
-- organisation (one more, of the platform, where none is known), so that what was changed behind it shows.
--
-- Triggers write it when a transaction commits: the head of a chain is locked for that moment only, after every row lock, so
-- that writers of one organisation do not wait for each other in a circle. The format of the hash is in the comment on
-- audit_log.hash; `optibid audit verify` recomputes it.

CREATE TABLE audit_heads (
    organisation_id uuid UNIQUE NULLS NOT DISTINCT,
    sequence bigint NOT NULL CHECK (sequence >= 0),
    hash bytea NOT NULL CHECK (is_sha256(hash))
);
COMMENT ON TABLE audit_heads IS 'the last entry of each chain; organisation_id null: the chain of the platform';

CREATE TABLE audit_log (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid,
    sequence bigint NOT NULL,
    recorded_time timestamptz NOT NULL,
    actor text NOT NULL CHECK (actor IN ('user', 'api_key', 'system')),
    user_id uuid,
    api_key_id uuid,
    role text NOT NULL,
    action text NOT NULL CHECK (action ~ '^[a-z][a-z0-9_.]{0,63}$'),
    subject text NOT NULL CHECK (is_name(subject)),
    subject_id text,
    before jsonb,
    after jsonb,
    address text,
    request text,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    UNIQUE NULLS NOT DISTINCT (organisation_id, sequence)
);
COMMENT ON TABLE audit_log IS
    'every change; of an update only the columns that changed; no foreign keys, since it outlives what it tells of. Secrets stand as (secret), personal data as (personal), so erasing a person leaves it as it is';
COMMENT ON COLUMN audit_log.action IS 'insert, update, delete, or the name of an event such as session.failed';
COMMENT ON COLUMN audit_log.hash IS
    'sha256 of the UTF-8 text of 17 lines joined by "\n", none at the end: "optibid-audit-1"; previous_hash in lower-case hex (of the first entry of a chain 64 zeros); id; organisation_id; sequence; recorded_time in UTC as YYYY-MM-DDTHH:MM:SS.ffffffZ; actor; user_id; api_key_id; role; action; subject; subject_id; before; after; address; request. sequence is bare digits, before and after are jsonb::text as Postgres prints it, everything from id on that is text or uuid or time is a JSON string that escapes \" \\ \b \f \n \r \t, and other characters under U+0020 as \u00xx, nothing else. What is null is the line null';
CREATE INDEX audit_log_by_subject ON audit_log (organisation_id, subject, subject_id);
CREATE INDEX audit_log_by_user ON audit_log (organisation_id, user_id, sequence DESC);

CREATE FUNCTION audit_text(entry audit_log) RETURNS text LANGUAGE sql STABLE RETURN concat_ws(E'\n',
    'optibid-audit-1', encode(entry.previous_hash, 'hex'),
    coalesce(to_json(entry.id)::text, 'null'), coalesce(to_json(entry.organisation_id)::text, 'null'), entry.sequence::text,
    to_json(to_char(entry.recorded_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text,
    to_json(entry.actor)::text, coalesce(to_json(entry.user_id)::text, 'null'), coalesce(to_json(entry.api_key_id)::text, 'null'),
    to_json(entry.role)::text, to_json(entry.action)::text, to_json(entry.subject)::text,
    coalesce(to_json(entry.subject_id)::text, 'null'), coalesce(entry.before::text, 'null'), coalesce(entry.after::text, 'null'),
    coalesce(to_json(entry.address)::text, 'null'), coalesce(to_json(entry.request)::text, 'null'));

-- Links an entry to its chain, whoever inserts it.
CREATE FUNCTION audit_link() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head audit_heads;
BEGIN
    LOOP
        SELECT * INTO head FROM audit_heads
        WHERE organisation_id = NEW.organisation_id OR (NEW.organisation_id IS NULL AND organisation_id IS NULL) FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO audit_heads VALUES (NEW.organisation_id, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING;
    END LOOP;
    NEW.sequence := head.sequence + 1;
    NEW.previous_hash := head.hash;
    NEW.recorded_time := clock_timestamp();
    NEW.hash := sha256(convert_to(audit_text(NEW), 'UTF8'));
    UPDATE audit_heads SET sequence = NEW.sequence, hash = NEW.hash
    WHERE organisation_id = NEW.organisation_id OR (NEW.organisation_id IS NULL AND organisation_id IS NULL);
    RETURN NEW;
END $$;

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, lower(TG_OP) USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION audit_advance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.organisation_id IS DISTINCT FROM OLD.organisation_id OR NEW.sequence <> OLD.sequence + 1 THEN
        RAISE EXCEPTION 'the head of a chain goes on by one entry' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER link BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_link();
CREATE TRIGGER refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER refuse BEFORE DELETE OR TRUNCATE ON audit_heads FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER advance BEFORE UPDATE ON audit_heads FOR EACH ROW EXECUTE FUNCTION audit_advance();
-- In a session of replication, too.
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER link;
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER refuse;
ALTER TABLE audit_heads ENABLE ALWAYS TRIGGER refuse;
ALTER TABLE audit_heads ENABLE ALWAYS TRIGGER advance;

-- Records a change. Arguments: 'secret:a,b', 'personal:a,b', 'large:a,b' name columns that are replaced, 'ignored:a,b' columns
-- that are left out and whose change alone writes nothing, 'id:a,b' those that name the row (id when absent).
CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    item jsonb := coalesce(after, before);
    changed text[];
    column_name text;
    argument text;
    subject_id text := item ->> 'id';
    ignored text[] := ARRAY['version', 'updated_time'];
BEGIN
    FOREACH argument IN ARRAY coalesce(TG_ARGV, '{}') LOOP
        IF argument LIKE 'ignored:%' THEN
            ignored := ignored || string_to_array(substr(argument, 9), ',');
        ELSIF argument LIKE 'id:%' THEN
            SELECT string_agg(item ->> part, '/' ORDER BY n) INTO subject_id
            FROM unnest(string_to_array(substr(argument, 4), ',')) WITH ORDINALITY AS parts (part, n);
        END IF;
    END LOOP;
    IF TG_OP = 'UPDATE' THEN
        SELECT array_agg(key) INTO changed FROM jsonb_each(after) AS new (key, value)
        WHERE value IS DISTINCT FROM before -> key AND key <> ALL (ignored);
        IF changed IS NULL THEN
            RETURN NULL;
        END IF;
        SELECT jsonb_object_agg(key, before -> key), jsonb_object_agg(key, after -> key) INTO before, after
        FROM unnest(changed) AS key;
    ELSE
        before := before - ignored;
        after := after - ignored;
    END IF;
    FOREACH argument IN ARRAY coalesce(TG_ARGV, '{}') LOOP
        CONTINUE WHEN argument !~ '^(secret|personal|large):';
        FOREACH column_name IN ARRAY string_to_array(split_part(argument, ':', 2), ',') LOOP
            IF before -> column_name <> 'null' THEN
                before := jsonb_set(before, ARRAY[column_name], to_jsonb(format('(%s)', split_part(argument, ':', 1))));
            END IF;
            IF after -> column_name <> 'null' THEN
                after := jsonb_set(after, ARRAY[column_name], to_jsonb(format('(%s)', split_part(argument, ':', 1))));
            END IF;
        END LOOP;
    END LOOP;
    PERFORM audit_write(
        CASE WHEN item ? 'organisation_id' AND item ->> 'organisation_id' IS NOT NULL THEN (item ->> 'organisation_id')::uuid
            WHEN TG_TABLE_NAME = 'organisations' THEN (item ->> 'id')::uuid
            ELSE current_organisation() END,
        lower(TG_OP), TG_TABLE_NAME, subject_id, before, after
    );
    RETURN NULL;
END $$;

CREATE FUNCTION audit_write(organisation uuid, action text, subject text, subject_id text, before jsonb, after jsonb)
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO audit_log (organisation_id, actor, user_id, api_key_id, role, action, subject, subject_id, before, after, address, request)
    VALUES (
        audit_write.organisation,
        CASE WHEN current_setting('optibid.actor', true) IN ('user', 'api_key') THEN current_setting('optibid.actor', true) ELSE 'system' END,
        current_user_id(), setting_uuid('optibid.api_key'),
        coalesce(current_member_role(), nullif(current_setting('role', true), 'none'), session_user),
        audit_write.action, audit_write.subject, left(audit_write.subject_id, 500), audit_write.before, audit_write.after,
        left(nullif(current_setting('optibid.address', true), ''), 64), left(nullif(current_setting('optibid.request', true), ''), 128)
    );
END $$;
REVOKE EXECUTE ON FUNCTION audit_write, audit_change, audit_link, audit_text FROM PUBLIC;

-- Locks the head of the chain until the transaction ends: call it last.
CREATE FUNCTION audit_event(action text, subject text, subject_id text, detail jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF action IN ('insert', 'update', 'delete') OR NOT is_object(coalesce(detail, '{}'), 16384) THEN
        RAISE EXCEPTION 'an event has a name of its own and an object of at most 16 KiB' USING ERRCODE = 'check_violation';
    END IF;
    PERFORM audit_write(current_organisation(), action, subject, subject_id, NULL, detail);
END $$;
COMMENT ON FUNCTION audit_event IS 'records what is no change of a row: a log-in, an export, an erasure; detail holds no secret and no personal data';

CREATE FUNCTION track_changes(name regclass, VARIADIC arguments text[] DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE CONSTRAINT TRIGGER audit_change AFTER INSERT OR UPDATE OR DELETE ON %s DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_change(%s)',
        name, (SELECT string_agg(quote_literal(item), ', ') FROM unnest(arguments) AS item)
    );
END $$;
REVOKE EXECUTE ON FUNCTION track_changes FROM PUBLIC;

-- A function with the owner's rights finds its own tables only, and prints times and numbers in one way.
DO $$
DECLARE
    f regproc;
BEGIN
    FOREACH f IN ARRAY '{audit_change,audit_event,audit_link}'::regproc[] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', f, current_schema());
    END LOOP;
    ALTER FUNCTION audit_change SET timezone = 'UTC';
    ALTER FUNCTION audit_change SET datestyle = 'ISO, YMD';
    ALTER FUNCTION audit_change SET extra_float_digits = 1;
    ALTER FUNCTION audit_change SET bytea_output = 'hex';
END $$;

-- Not forced: the functions above write as the owner. Nobody is granted more than to read.
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON audit_log, audit_heads TO optibid_tenant, optibid_operator, optibid_system;
CREATE POLICY optibid_tenant ON audit_log TO optibid_tenant USING (organisation_id = (SELECT current_organisation()));
CREATE POLICY optibid_tenant ON audit_heads TO optibid_tenant USING (organisation_id = (SELECT current_organisation()));
CREATE POLICY optibid_operator ON audit_log TO optibid_operator USING (organisation_id IS NULL);
CREATE POLICY optibid_operator ON audit_heads TO optibid_operator USING (organisation_id IS NULL);
CREATE POLICY optibid_system ON audit_log TO optibid_system USING (current_user = 'optibid_system');
CREATE POLICY optibid_system ON audit_heads TO optibid_system USING (current_user = 'optibid_system');
