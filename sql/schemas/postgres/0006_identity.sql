-- Who there is: organisations (the tenants), users, who is a member of what with which role, and what a role may do.
--
-- A user is nobody's property: one may be a member of several organisations. Whoever signs in is unknown until then, so
-- this is read by the role optibid_identity; a tenant sees the users who are its members, and of them no secret.

CREATE TABLE roles (
    code text PRIMARY KEY CHECK (code ~ '^[a-z_]{1,32}$'),
    name text NOT NULL CHECK (is_name(name)),
    description text NOT NULL CHECK (is_text(description, 500))
);
COMMENT ON TABLE roles IS 'what a member of an organisation can be';

CREATE TABLE permissions (
    code text PRIMARY KEY CHECK (code ~ '^[a-z_]{1,32}\.[a-z_]{1,32}$'),
    description text NOT NULL CHECK (is_text(description, 500))
);
COMMENT ON TABLE permissions IS 'what a route asks for: resource.verb; also the scopes of API keys';

CREATE TABLE role_permissions (
    role text NOT NULL REFERENCES roles (code) ON DELETE CASCADE,
    permission text NOT NULL REFERENCES permissions (code) ON DELETE CASCADE,
    PRIMARY KEY (role, permission)
);
COMMENT ON TABLE role_permissions IS 'the fine permissions of each role';

GRANT SELECT ON roles, permissions, role_permissions TO optibid_identity, optibid_operator, optibid_system, optibid_tenant;

CREATE TABLE organisations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    code text NOT NULL UNIQUE CHECK (is_name(code, 64) AND octet_length(code) <= 200 AND strpos(code, '/') = 0),
    name text NOT NULL CHECK (is_name(name)),
    country text CHECK (country ~ '^[A-Z]{2}$'),
    timezone text NOT NULL DEFAULT 'UTC' CHECK (is_name(timezone, 64)),
    settings jsonb NOT NULL DEFAULT '{}' CHECK (is_object(settings, 16384)),
    suspended_time timestamptz,
    suspended_reason text CHECK (is_text(suspended_reason, 500)),
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    CHECK (suspended_time IS NOT NULL OR suspended_reason IS NULL)
);
COMMENT ON TABLE organisations IS 'the tenants';
COMMENT ON COLUMN organisations.code IS 'what bids on the stream call the organisation; never changes';
CREATE INDEX organisations_by_time ON organisations (created_time, id);

CREATE FUNCTION current_organisation_code() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT code FROM organisations WHERE id = current_organisation());

SELECT isolate('organisations');
CREATE POLICY optibid_tenant ON organisations TO optibid_tenant USING (id = (SELECT current_organisation()));
GRANT SELECT, UPDATE (name, country, timezone, settings) ON organisations TO optibid_tenant;
SELECT permit('organisations', 'optibid_identity', 'SELECT', 'INSERT');
SELECT permit('organisations', 'optibid_operator', 'SELECT', 'UPDATE (suspended_time, suspended_reason)');
SELECT permit('organisations', 'optibid_system', 'SELECT', 'DELETE');

CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text UNIQUE CHECK (is_email(email)),
    email_verified_time timestamptz,
    full_name text CHECK (is_name(full_name)),
    password_hash text CHECK (is_name(password_hash, 500)),
    password_changed_time timestamptz,
    locale text NOT NULL DEFAULT 'en' CHECK (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$'),
    timezone text NOT NULL DEFAULT 'UTC' CHECK (is_name(timezone, 64)),
    preferences jsonb NOT NULL DEFAULT '{}' CHECK (is_object(preferences, 16384)),
    is_operator boolean NOT NULL DEFAULT false,
    disabled_time timestamptz,
    erased_time timestamptz,
    last_login_time timestamptz,
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    CHECK ((erased_time IS NULL) = (email IS NOT NULL)),
    CHECK (erased_time IS NULL OR (full_name IS NULL AND password_hash IS NULL AND NOT is_operator))
);
COMMENT ON TABLE users IS 'people who sign in; one that was erased keeps its id and nothing else';
COMMENT ON COLUMN users.email IS 'in lower case, which is what makes it unique';
COMMENT ON COLUMN users.is_operator IS 'may act for the platform: broadcast, flags, plans, statistics; given by the role optibid_system alone';
CREATE INDEX users_by_time ON users (created_time, id);

CREATE TABLE memberships (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id),
    role text NOT NULL REFERENCES roles (code),
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    UNIQUE (organisation_id, user_id)
);
COMMENT ON TABLE memberships IS 'who acts for which organisation; a tenant cannot add one, since that would show it a user: see invitations';
CREATE INDEX memberships_by_user ON memberships (user_id);
CREATE INDEX memberships_by_time ON memberships (organisation_id, created_time, id);

SELECT permit_tenant('memberships', 'SELECT', 'UPDATE (role)', 'DELETE');
SELECT permit('memberships', 'optibid_identity', 'SELECT', 'INSERT', 'DELETE');
SELECT permit('memberships', 'optibid_operator', 'SELECT');
SELECT permit('memberships', 'optibid_system', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

-- Members see each other; one changes oneself alone.
SELECT isolate('users');
CREATE POLICY optibid_tenant ON users FOR SELECT TO optibid_tenant USING (EXISTS (
    SELECT FROM memberships WHERE organisation_id = (SELECT current_organisation()) AND user_id = users.id
));
CREATE POLICY optibid_tenant_self ON users FOR UPDATE TO optibid_tenant USING (id = (SELECT current_user_id()));
GRANT SELECT (id, email, email_verified_time, full_name, locale, timezone, preferences, is_operator, disabled_time,
    erased_time, last_login_time, version, created_time, updated_time), UPDATE (full_name, locale, timezone, preferences)
    ON users TO optibid_tenant;
SELECT permit('users', 'optibid_identity', 'SELECT',
    'INSERT (id, email, email_verified_time, full_name, password_hash, password_changed_time, locale, timezone)',
    'UPDATE (email, email_verified_time, full_name, password_hash, password_changed_time, locale, timezone, preferences, disabled_time, erased_time, last_login_time)');
SELECT permit('users', 'optibid_operator', 'SELECT (id, email, email_verified_time, full_name, locale, timezone, is_operator, disabled_time, erased_time, last_login_time, version, created_time, updated_time)');
SELECT permit('users', 'optibid_system', 'SELECT (id, email, email_verified_time, full_name, locale, timezone, is_operator, disabled_time, erased_time, last_login_time, version, created_time, updated_time)', 'UPDATE');

CREATE TABLE invitations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    email text NOT NULL CHECK (is_email(email)),
    role text NOT NULL REFERENCES roles (code),
    token_hash bytea NOT NULL UNIQUE CHECK (is_sha256(token_hash)),
    invited_by uuid,
    expires_time timestamptz NOT NULL,
    accepted_time timestamptz,
    revoked_time timestamptz,
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    FOREIGN KEY (organisation_id, invited_by) REFERENCES memberships (organisation_id, user_id) ON DELETE SET NULL (invited_by),
    CHECK (expires_time > created_time),
    CHECK (accepted_time IS NULL OR revoked_time IS NULL)
);
COMMENT ON TABLE invitations IS 'the way into an organisation: whoever has the token and the address becomes a member';
CREATE UNIQUE INDEX invitations_open ON invitations (organisation_id, email) WHERE accepted_time IS NULL AND revoked_time IS NULL;
CREATE INDEX invitations_by_time ON invitations (organisation_id, created_time, id);
CREATE INDEX invitations_by_email ON invitations (email);

SELECT permit_tenant('invitations',
    'SELECT (id, organisation_id, email, role, invited_by, expires_time, accepted_time, revoked_time, version, created_time, updated_time)',
    'INSERT (id, organisation_id, email, role, token_hash, invited_by, expires_time)',
    'UPDATE (role, token_hash, expires_time, revoked_time)');
SELECT permit('invitations', 'optibid_identity', 'SELECT', 'UPDATE (accepted_time)', 'DELETE');
SELECT permit('invitations', 'optibid_system', 'SELECT', 'DELETE');

SELECT track_version(name) FROM unnest('{organisations,memberships,invitations}'::regclass[]) AS name;
SELECT track_version('users', 'last_login_time');
SELECT track_changes(name) FROM unnest('{organisations,memberships}'::regclass[]) AS name;
SELECT track_changes(name, 'id:code') FROM unnest('{roles,permissions}'::regclass[]) AS name;
SELECT track_changes('role_permissions', 'id:role,permission');
SELECT track_changes('users', 'secret:password_hash', 'personal:email,full_name,preferences', 'ignored:last_login_time');
SELECT track_changes('invitations', 'secret:token_hash', 'personal:email');
