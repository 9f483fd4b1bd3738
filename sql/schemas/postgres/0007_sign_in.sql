-- How somebody proves who they are: sessions, API keys, second factors, other issuers, and the keys that sign tokens.
--
-- Tokens are here as their sha256 alone, secrets encrypted with a key that the database does not have (key_id says which).
-- optibid_identity works with all of it; a tenant sees its own sessions and its organisation's API keys, without hashes.

CREATE TABLE sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    organisation_id uuid,
    device text CHECK (is_text(device, 400)),
    address text CHECK (is_text(address, 64)),
    second_factor boolean NOT NULL DEFAULT false,
    last_seen_time timestamptz NOT NULL DEFAULT now(),
    expires_time timestamptz NOT NULL,
    revoked_time timestamptz,
    revoked_reason text CHECK (revoked_reason IN ('logout', 'user', 'admin', 'reuse', 'password', 'erased', 'expired')),
    created_time timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (organisation_id, user_id) REFERENCES memberships (organisation_id, user_id) ON DELETE SET NULL (organisation_id),
    CHECK ((revoked_time IS NULL) = (revoked_reason IS NULL))
);
COMMENT ON TABLE sessions IS 'a sign-in on one device: a family of refresh tokens, revoked as one; organisation_id: the one it acts for';
CREATE INDEX sessions_by_user ON sessions (user_id, last_seen_time DESC);
CREATE INDEX sessions_by_organisation ON sessions (organisation_id, user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_time);

CREATE TABLE refresh_tokens (
    token_hash bytea PRIMARY KEY CHECK (is_sha256(token_hash)),
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_time timestamptz NOT NULL,
    used_time timestamptz,
    replaced_by bytea REFERENCES refresh_tokens (token_hash) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    created_time timestamptz NOT NULL DEFAULT now(),
    CHECK (replaced_by IS NULL OR used_time IS NOT NULL)
);
COMMENT ON TABLE refresh_tokens IS 'each may be used once; a used one that comes again revokes its session';
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_replacement ON refresh_tokens (replaced_by);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL CHECK (is_name(name)),
    prefix text NOT NULL UNIQUE CHECK (prefix ~ '^[A-Za-z0-9_]{6,32}$'),
    key_hash bytea NOT NULL CHECK (is_sha256(key_hash)),
    scopes text[] NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 100 AND array_position(scopes, NULL) IS NULL),
    expires_time timestamptz,
    last_used_time timestamptz,
    revoked_time timestamptz,
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    FOREIGN KEY (organisation_id, user_id) REFERENCES memberships (organisation_id, user_id) ON DELETE CASCADE
);
COMMENT ON TABLE api_keys IS 'act for an organisation in the name of a member, who leaves with them; scopes are permissions';
CREATE INDEX api_keys_by_time ON api_keys (organisation_id, created_time, id);
CREATE INDEX api_keys_by_user ON api_keys (organisation_id, user_id);

CREATE TABLE mfa_secrets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    secret_encrypted bytea NOT NULL CHECK (octet_length(secret_encrypted) BETWEEN 16 AND 512),
    nonce bytea NOT NULL CHECK (octet_length(nonce) IN (12, 24)),
    key_id text NOT NULL CHECK (is_name(key_id, 64)),
    confirmed_time timestamptz,
    last_used_step bigint,
    created_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE mfa_secrets IS 'TOTP; in force once confirmed; last_used_step only grows, so that no code is used twice';

CREATE TABLE recovery_codes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_hash bytea NOT NULL CHECK (is_sha256(code_hash)),
    used_time timestamptz,
    created_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_id, code_hash)
);
COMMENT ON TABLE recovery_codes IS 'each takes the place of a code of TOTP once';

CREATE TABLE oauth_identities (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issuer text NOT NULL CHECK (is_name(issuer, 500)),
    subject text NOT NULL CHECK (is_name(subject, 255)),
    email text CHECK (is_email(email)),
    last_used_time timestamptz,
    created_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (issuer, subject)
);
COMMENT ON TABLE oauth_identities IS 'a user as another issuer of OpenID Connect knows it';
CREATE INDEX oauth_identities_by_user ON oauth_identities (user_id);

CREATE TABLE oauth_states (
    state_hash bytea PRIMARY KEY CHECK (is_sha256(state_hash)),
    issuer text NOT NULL CHECK (is_name(issuer, 500)),
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    verifier_encrypted bytea NOT NULL CHECK (octet_length(verifier_encrypted) BETWEEN 16 AND 512),
    nonce bytea NOT NULL CHECK (octet_length(nonce) IN (12, 24)),
    key_id text NOT NULL CHECK (is_name(key_id, 64)),
    id_token_nonce text NOT NULL CHECK (is_name(id_token_nonce, 128)),
    return_path text NOT NULL CHECK (is_name(return_path, 500) AND return_path ~ '^/([^/\\]|$)'),
    expires_time timestamptz NOT NULL,
    created_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE oauth_states IS 'log-ins on their way to another issuer and back, with their PKCE verifier; deleted when used. user_id: who links an identity';
CREATE INDEX oauth_states_by_expiry ON oauth_states (expires_time);
CREATE INDEX oauth_states_by_user ON oauth_states (user_id);

CREATE TABLE password_resets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash bytea NOT NULL UNIQUE CHECK (is_sha256(token_hash)),
    expires_time timestamptz NOT NULL,
    used_time timestamptz,
    created_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE password_resets IS 'links by which a forgotten password is set anew';
CREATE INDEX password_resets_by_user ON password_resets (user_id);

CREATE TABLE email_verifications (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email text NOT NULL CHECK (is_email(email)),
    token_hash bytea NOT NULL UNIQUE CHECK (is_sha256(token_hash)),
    expires_time timestamptz NOT NULL,
    used_time timestamptz,
    created_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE email_verifications IS 'links that prove an address; email: the one they were sent to, which becomes the user''s';
CREATE INDEX email_verifications_by_user ON email_verifications (user_id);

CREATE TABLE signing_keys (
    kid text PRIMARY KEY CHECK (kid ~ '^[A-Za-z0-9_-]{1,64}$'),
    algorithm text NOT NULL CHECK (algorithm IN ('EdDSA', 'ES256')),
    public_key bytea NOT NULL CHECK (octet_length(public_key) BETWEEN 32 AND 256),
    private_key_encrypted bytea NOT NULL CHECK (octet_length(private_key_encrypted) BETWEEN 32 AND 1024),
    nonce bytea NOT NULL CHECK (octet_length(nonce) IN (12, 24)),
    key_id text NOT NULL CHECK (is_name(key_id, 64)),
    not_before_time timestamptz NOT NULL,
    not_after_time timestamptz NOT NULL,
    created_time timestamptz NOT NULL DEFAULT now(),
    CHECK (not_before_time < not_after_time)
);
COMMENT ON TABLE signing_keys IS 'sign access tokens from not_before on, verify them until not_after';

SELECT permit(name, 'optibid_identity', 'SELECT', 'INSERT', 'UPDATE', 'DELETE') FROM unnest('{sessions,refresh_tokens,
    mfa_secrets,recovery_codes,oauth_identities,oauth_states,password_resets,email_verifications,signing_keys}'::regclass[]) AS name;
SELECT permit(name, 'optibid_system', 'SELECT', 'DELETE') FROM unnest(
    '{sessions,refresh_tokens,oauth_states,password_resets,email_verifications,signing_keys,api_keys}'::regclass[]) AS name;
SELECT permit('api_keys', 'optibid_identity', 'SELECT', 'UPDATE (last_used_time, revoked_time)');
SELECT permit_tenant('api_keys',
    'SELECT (id, organisation_id, user_id, name, prefix, scopes, expires_time, last_used_time, revoked_time, version, created_time, updated_time)',
    'INSERT (id, organisation_id, user_id, name, prefix, key_hash, scopes, expires_time)',
    'UPDATE (name, scopes, expires_time, revoked_time)');
GRANT SELECT, UPDATE (revoked_time, revoked_reason) ON sessions TO optibid_tenant;
CREATE POLICY optibid_tenant ON sessions TO optibid_tenant USING (user_id = (SELECT current_user_id()));

SELECT track_version('api_keys', 'last_used_time');
SELECT track_changes('sessions', 'personal:device,address', 'ignored:last_seen_time');
SELECT track_changes('api_keys', 'secret:key_hash', 'ignored:last_used_time');
SELECT track_changes('mfa_secrets', 'secret:secret_encrypted,nonce', 'ignored:last_used_step');
SELECT track_changes('recovery_codes', 'secret:code_hash');
SELECT track_changes('oauth_identities', 'personal:subject,email', 'ignored:last_used_time');
SELECT track_changes('password_resets', 'secret:token_hash');
SELECT track_changes('email_verifications', 'secret:token_hash', 'personal:email');
SELECT track_changes('signing_keys', 'id:kid', 'secret:private_key_encrypted,nonce');
