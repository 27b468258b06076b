package v1alpha1

// The types of a User's conditions.
const (
	// ConditionReady is True when this generation of the User has been accepted and is in force,
	// even if what it says is that the user cannot log in: its reason is then Revoked, Expired,
	// PasswordExpired or Locked. It is False while a password cannot be used or something else is
	// wrong with the User, and Unknown until Gatehouse has looked at the User. Tools that follow
	// kstatus wait for it.
	ConditionReady = "Ready"
	// ConditionStalled is True while only an edit can make the User ready.
	ConditionStalled = "Stalled"
	// ConditionLoginAllowed is True while the user can log in and all of its passwords are usable.
	// Otherwise it is False with a reason, even if one password is broken and others still work:
	// then status.state remains Active.
	ConditionLoginAllowed = "LoginAllowed"
	// ConditionEnforced is True when every replica answers by this generation of the object, and by
	// the Secrets and Revocations that concern it. Of a Token it says this of its revocation.
	ConditionEnforced = "Enforced"
	// ConditionPasswordExpiring is True from a week before a usable password or the account
	// expires.
	ConditionPasswordExpiring = "PasswordExpiring"
	// ConditionWeakHash is True while the hash of a password is weaker than OWASP recommends.
	ConditionWeakHash = "WeakHash"
	// ConditionPlaintextNewline is True while a plaintext password ends in a newline, which is part
	// of the password and hardly ever intended.
	ConditionPlaintextNewline = "PlaintextNewline"
	// ConditionWeakPlaintext is True while a plaintext password is short or simple. No lock stops
	// those who guess a plaintext.
	ConditionWeakPlaintext = "WeakPlaintext"
	// ConditionTokensVoid is True while spec.tokensValidAfter is in the future, so that every token
	// is void.
	ConditionTokensVoid = "TokensVoid"
	// ConditionIdentityConflict is True while an older User holds one of the identities.
	ConditionIdentityConflict = "IdentityConflict"
	// ConditionIdentityUntrusted is True while the issuer of one of the identities is not trusted.
	ConditionIdentityUntrusted = "IdentityUntrusted"
)

// The reasons of Ready, LoginAllowed and Stalled.
const (
	ReasonPending             = "Pending"
	ReasonActive              = "Active"
	ReasonRevoked             = "Revoked"
	ReasonExpired             = "Expired"
	ReasonPasswordExpired     = "PasswordExpired"
	ReasonLocked              = "Locked"
	ReasonLoginConflict       = "LoginConflict"
	ReasonNoPassword          = "NoPassword"
	ReasonSecretNotFound      = "SecretNotFound"
	ReasonSecretKeyNotFound   = "SecretKeyNotFound"
	ReasonSecretValueTooLarge = "SecretValueTooLarge"
	ReasonInvalidHash         = "InvalidHash"
	ReasonHashTooLarge        = "HashTooLarge"
	ReasonUnreadable          = "Unreadable"
	ReasonNotPermitted        = "NotPermitted"
)

// The reasons of Enforced. Pending is one of them too.
const (
	ReasonInForce        = "InForce"
	ReasonReplicaUnheard = "ReplicaUnheard"
	ReasonNotComparable  = "VersionsNotComparable"
)

// The reasons of the other conditions.
const (
	ReasonBelowRecommendation = "BelowRecommendation"
	ReasonGuessable           = "Guessable"
	ReasonTrailingNewline     = "TrailingNewline"
	ReasonIdentityConflict    = "IdentityConflict"
	ReasonIssuerNotTrusted    = "IssuerNotTrusted"
	ReasonInTheFuture         = "TokensValidAfterInTheFuture"
	ReasonExpiresSoon         = "ExpiresSoon"
)
