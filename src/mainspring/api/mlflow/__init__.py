"""MLflow's protocol as a face of the record: an unmodified client of MLflow logs and reads here."""
