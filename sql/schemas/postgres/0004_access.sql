-- Who may see what: PostGIS, the database roles, the settings of a transaction, and the functions by which later files
-- protect a table (docs/adr/0011-tenants.md).
--
-- The program connects as the owner or as a member of the roles, and each transaction begins with
--   SET LOCAL ROLE optibid_tenant;
--   SELECT set_config('optibid.organisation', $1, true), set_config('optibid.user', $2, true), …
-- Of a setting that is missing or is no uuid nothing is seen, and there is no error.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'postgis') THEN
        CREATE EXTENSION postgis;
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE EXCEPTION 'PostGIS cannot be had: %', SQLERRM
        USING HINT = 'install PostGIS 3 for this server, then as a superuser in this database: CREATE EXTENSION postgis';
END $$;

-- It answers from statistics, which hold the rows of every tenant. Only its owner can take it away.
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE proname = 'st_estimatedextent' AND pg_has_role(proowner, 'USAGE') LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;

-- Roles belong to the cluster: another database may make or grant the same ones at this moment.
DO $$
DECLARE
    name text;
    attempt integer;
    able text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    FOREACH name IN ARRAY ARRAY['optibid_identity', 'optibid_operator', 'optibid_system', 'optibid_tenant'] LOOP
        FOR attempt IN 1..20 LOOP
            BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                    EXECUTE format('CREATE ROLE %I NOLOGIN', name);
                END IF;
                IF NOT pg_has_role(current_user, name, able) THEN
                    EXECUTE format('GRANT %I TO CURRENT_USER', name);
                END IF;
                EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), name);
                EXIT;
            EXCEPTION
                -- internal_error: "tuple concurrently updated".
                WHEN duplicate_object OR unique_violation OR internal_error THEN
                    IF attempt = 20 THEN RAISE; END IF;
                    PERFORM pg_sleep(0.05 * attempt);
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'role % cannot be made or granted: %', name, SQLERRM USING HINT = format(
                        'as a superuser: CREATE ROLE %I NOLOGIN; GRANT %I TO %I', name, name, current_user
                    );
            END;
        END LOOP;
    END LOOP;
END $$;

-- Whoever signed in, as the transaction says.

CREATE FUNCTION setting_uuid(name text) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE RETURN
    CASE WHEN current_setting(name, true) ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        THEN current_setting(name, true)::uuid END;
CREATE FUNCTION current_organisation() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN setting_uuid('optibid.organisation');
CREATE FUNCTION current_user_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE RETURN setting_uuid('optibid.user');
CREATE FUNCTION current_member_role() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('optibid.role', true), '');

-- What text and JSON may be: no control characters, none that turn the direction of writing round.

CREATE FUNCTION is_text(value text, maximum integer) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    char_length(value) <= maximum
    AND value !~ '[\u0001-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u2028-\u202E\u2066-\u2069\uFEFF]';
CREATE FUNCTION is_name(value text, maximum integer DEFAULT 200) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN value <> '' AND value = btrim(value) AND value !~ '[\t\n\r]' AND is_text(value, maximum);
CREATE FUNCTION is_email(value text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    is_name(value, 254) AND value = lower(value) AND value ~ '^[^\s@]+@[^\s@]+$';
CREATE FUNCTION is_object(value jsonb, maximum_bytes integer) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN jsonb_typeof(value) = 'object' AND octet_length(value::text) <= maximum_bytes;
CREATE FUNCTION is_sha256(value bytea) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN octet_length(value) = 32;

-- Versions, which the API gives as ETag. Arguments: columns whose change alone raises nothing.

CREATE FUNCTION raise_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := to_jsonb(OLD);
    after jsonb := to_jsonb(NEW);
    ignored text[] := ARRAY['version', 'created_time', 'updated_time'] || coalesce(TG_ARGV, '{}');
BEGIN
    IF before -> 'id' IS DISTINCT FROM after -> 'id'
        OR before -> 'organisation_id' IS DISTINCT FROM after -> 'organisation_id' THEN
        RAISE EXCEPTION 'a row of % keeps its id and organisation', TG_TABLE_NAME USING ERRCODE = 'check_violation';
    END IF;
    NEW.created_time := OLD.created_time;
    IF before - ignored IS DISTINCT FROM after - ignored THEN
        NEW.version := OLD.version + 1;
        NEW.updated_time := now();
    ELSE
        NEW.version := OLD.version;
        NEW.updated_time := OLD.updated_time;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION track_version(name regclass, VARIADIC ignored text[] DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER raise_version BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION raise_version(%s)',
        name, (SELECT string_agg(quote_literal(item), ', ') FROM unnest(ignored) AS item)
    );
END $$;

-- Row-level security holds for the owner, too, who may be a member that inherits: hence a policy asks by name for the
-- role that was taken on, unless it asks for an organisation. Superusers pass by all of it.

CREATE FUNCTION isolate(name regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', name);
END $$;

CREATE FUNCTION permit(name regclass, who text, VARIADIC privileges text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM isolate(name);
    EXECUTE format('GRANT %s ON %s TO %I', array_to_string(privileges, ', '), name, who);
    EXECUTE format('CREATE POLICY %I ON %s TO %I USING (current_user = %L)', who, name, who, who);
END $$;
COMMENT ON FUNCTION permit IS 'lets a role that is no tenant use every row of a table, as far as the privileges go';

-- The condition of later files, beside their own, is always the column against a value that is read once a statement.
CREATE FUNCTION permit_tenant(name regclass, VARIADIC privileges text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM isolate(name);
    EXECUTE format('GRANT %s ON %s TO optibid_tenant', array_to_string(privileges, ', '), name);
    EXECUTE format(
        'CREATE POLICY optibid_tenant ON %s TO optibid_tenant USING (organisation_id = (SELECT current_organisation()))', name
    );
END $$;
COMMENT ON FUNCTION permit_tenant IS 'lets tenants use the rows whose organisation_id is theirs';

REVOKE EXECUTE ON FUNCTION create_time_series, ensure_partitions, drop_partitions_before,
    track_version, isolate, permit, permit_tenant FROM PUBLIC;
