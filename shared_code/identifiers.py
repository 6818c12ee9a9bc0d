"""Identifiers as types, so that one kind is never taken for another."""

from typing import NewType
from uuid import UUID

OrganizationId = NewType("OrganizationId", UUID)
"""A customer. Made from a verified session in `functions.access`, or from a row that the database already trusts."""

UserId = NewType("UserId", UUID)

CompressorId = NewType("CompressorId", str)
"""A machine within one organization, such as COMP-003; two organizations may both own one."""

StationId = NewType("StationId", str)
