"""Valid bodies derived from classes: values from schemas (`values`), rules of tables (`rules`), and both (`maker`)."""
