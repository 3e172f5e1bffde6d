"""Heart disease from facts about a patient."""
