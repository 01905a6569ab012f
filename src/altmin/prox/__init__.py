"""Proximal operators without a closed form."""
