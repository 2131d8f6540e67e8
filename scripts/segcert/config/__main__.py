"""Write config/default.yaml, config/schema.json and docs/reference/configuration.md (`make config`)."""

from segcert.config.reference import FOLDER, REFERENCE, configuration_page, default_yaml, schema_json

(FOLDER / "default.yaml").write_text(default_yaml())
(FOLDER / "schema.json").write_text(schema_json())
REFERENCE.write_text(configuration_page())
