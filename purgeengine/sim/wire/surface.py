"""Names in Graph's API that the tenant knows without serving them. They are refused with 501, all others with 400.

The names are those in the reference of version 1.0.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ROOTS = _names(
    """
    $entity $metadata
    admin agreementAcceptances agreements appCatalogs applications applicationTemplates auditLogs
    authenticationMethodConfigurations authenticationMethodsPolicy certificateBasedAuthConfiguration chats
    communications compliance connections contacts contracts copilot dataPolicyOperations deviceAppManagement
    deviceManagement devices directory directoryObjects directoryRoles directoryRoleTemplates domainDnsRecords
    domains drive drives education employeeExperience external functions groupLifecyclePolicies groups
    groupSettings groupSettingTemplates identity identityGovernance identityProtection identityProviders
    informationProtection invitations me oauth2PermissionGrants organization permissionGrants places planner
    policies print privacy reports roleManagement schemaExtensions scopedRoleMemberships search security
    servicePrincipals shares sites solutions storage subscribedSkus subscriptions teams teamsTemplates
    teamwork tenantRelationships users
    """
)
"""Names that may come first in a path."""
USER_PARTS = _names(
    """
    $count activities agreementAcceptances appRoleAssignments assignLicense authentication calendar
    calendarGroups calendars calendarView changePassword chats checkMemberGroups checkMemberObjects
    cloudClipboard cloudPCs contactFolders contacts createdObjects deviceManagementTroubleshootingEvents
    directReports drive drives employeeExperience events exportDeviceAndAppManagementData exportPersonalData
    extensions findMeetingTimes followedSites getMailTips getManagedAppDiagnosticStatuses getMemberGroups
    getMemberObjects inferenceClassification insights joinedTeams licenseDetails mailboxSettings mailFolders
    managedAppRegistrations managedDevices manager memberOf messages oauth2PermissionGrants onenote
    onlineMeetings outlook ownedDevices ownedObjects people permissionGrants photo photos planner presence
    registeredDevices reminderView removeAllDevicesFromManagement restore retryServiceProvisioning
    revokeSignInSessions scopedRoleMemberOf sendMail serviceProvisioningErrors settings solutions sponsors
    teamwork todo transitiveMemberOf translateExchangeIds wipeManagedAppRegistrationsByDeviceTag
    """
)
"""Names that may follow a user."""
FOLDER_PARTS = _names(
    """
    $count childFolders contacts multiValueExtendedProperties permanentDelete singleValueExtendedProperties
    """
)
"""Names that may follow a contact folder."""
CONTACT_PARTS = _names("extensions photo singleValueExtendedProperties multiValueExtendedProperties $value")
"""Names that may follow a contact, besides ``permanentDelete``."""
FUNCTIONS = _names("delta delta() $count")
"""Names that may follow a collection in place of an id."""
