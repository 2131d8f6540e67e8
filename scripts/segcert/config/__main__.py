"""`make config` writes default.yaml and schema.json."""

from segcert.config.files import FOLDER, default_yaml, schema_json

(FOLDER / "default.yaml").write_text(default_yaml())
(FOLDER / "schema.json").write_text(schema_json())
