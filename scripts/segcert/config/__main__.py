"""`make config` writes default.yaml, schema.json and the page of the documentation."""

from segcert.config.files import FOLDER, default_yaml, schema_json
from segcert.config.reference import REFERENCE, configuration_page

(FOLDER / "default.yaml").write_text(default_yaml())
(FOLDER / "schema.json").write_text(schema_json())
REFERENCE.write_text(configuration_page())
