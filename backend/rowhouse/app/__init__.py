"""The application: `create_app`, its middleware, its OpenAPI document and its documentation pages."""
