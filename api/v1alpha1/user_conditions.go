package v1alpha1

// The types of a User's conditions.
const (
	// ConditionReady is True while the user can log in and nothing about its passwords is wrong. It is False with a
	// reason otherwise, also when one password is broken and others still log in: then status.state stays Active.
	ConditionReady = "Ready"
	// ConditionWeakHash is True while a password's hash is below what OWASP recommends.
	ConditionWeakHash = "WeakHash"
	// ConditionPlaintextNewline is True while a plaintext password ends in a newline, which is part of it and hardly
	// ever meant to be.
	ConditionPlaintextNewline = "PlaintextNewline"
	// ConditionTokensVoid is True while spec.tokensValidAfter lies in the future, so that every token is void.
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
