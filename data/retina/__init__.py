"""Fundus photographs graded for diabetic retinopathy."""
