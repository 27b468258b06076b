package v1alpha1

// The types of a User's conditions.
const (
	// ConditionReady is True while the user can log in and all of its passwords are usable.
	// Otherwise it is False with a reason, even if one password is broken and others still work:
	// then status.state remains Active.
	ConditionReady = "Ready"
	// ConditionWeakHash is True while the hash of a password is weaker than OWASP recommends.
	ConditionWeakHash = "WeakHash"
	// ConditionPlaintextNewline is True while a plaintext password ends in a newline, which is part
	// of the password and hardly ever intended.
	ConditionPlaintextNewline = "PlaintextNewline"
	// ConditionTokensVoid is True while spec.tokensValidAfter is in the future, so that every token
	// is void.
	ConditionTokensVoid = "TokensVoid"
)

// The reasons of the Ready condition.
const (
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
	ReasonUnreadable          = "Unreadable"
)

// The reasons of the other conditions.
const (
	ReasonBelowRecommendation = "BelowRecommendation"
	ReasonTrailingNewline     = "TrailingNewline"
	ReasonInTheFuture         = "TokensValidAfterInTheFuture"
)
