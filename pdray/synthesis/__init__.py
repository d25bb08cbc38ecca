"""Makes recordings of people who agreed, in which a method has changed a person to look ill."""
