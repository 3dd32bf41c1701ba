-- What a scratch database must be like to take a copy of this one. Through jsonb, because the columns for
-- locales other than libc's came with 15 (daticulocale) and changed their name with 17 (datlocale).
SELECT
  pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
  d.datcollate AS collation,
  d.datctype AS ctype,
  coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') AS provider,
  coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale') AS locale,
  coalesce(pg_catalog.to_jsonb(d) ->> 'daticurules', '') AS icu_rules,
  (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS system_identifier,
  ARRAY(SELECT extname::text FROM pg_catalog.pg_extension ORDER BY 1) AS extensions,
  -- Roles that policies and user mappings name: without them they cannot be restored.
  ARRAY(
    SELECT DISTINCT r.rolname::text
    FROM pg_catalog.pg_roles r
    WHERE r.oid IN (SELECT unnest(p.polroles) FROM pg_catalog.pg_policy p)
       OR r.rolname IN (SELECT m.usename FROM pg_catalog.pg_user_mappings m)
    ORDER BY 1
  ) AS roles
FROM pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database()
