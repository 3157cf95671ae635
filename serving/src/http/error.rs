//! The one error envelope: `{"error":{"code","message","hint"}}`.

use std::{collections::BTreeMap, error::Error, fmt};

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{StatusCode, header},
};
use kilowatch_shared::{lake::LakeError, log::LogError, views::ViewsError};
use serde::Serialize;

/// What clients branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    UnknownParameter,
    RepeatedParameter,
    InvalidParameter,
    InvalidBody,
    InvalidFields,
    ReadingsRejected,
    UnknownStream,
    UnknownDevice,
    UnknownMeasure,
    NoEstimate,
    NoModel,
    NotFound,
    MethodNotAllowed,
    UnsupportedMediaType,
    TooLarge,
    BodyTooSlow,
    QueryTooLong,
    ForeignHost,
    ViewsUnavailable,
    LogUnavailable,
    LakeUnavailable,
    Internal,
}

impl ErrorCode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownParameter => "unknown_parameter",
            Self::RepeatedParameter => "repeated_parameter",
            Self::InvalidParameter => "invalid_parameter",
            Self::InvalidBody => "invalid_body",
            Self::InvalidFields => "invalid_fields",
            Self::ReadingsRejected => "readings_rejected",
            Self::UnknownStream => "unknown_stream",
            Self::UnknownDevice => "unknown_device",
            Self::UnknownMeasure => "unknown_measure",
            Self::NoEstimate => "no_estimate",
            Self::NoModel => "no_model",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::TooLarge => "too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::QueryTooLong => "query_too_long",
            Self::ForeignHost => "foreign_host",
            Self::ViewsUnavailable => "views_unavailable",
            Self::LogUnavailable => "log_unavailable",
            Self::LakeUnavailable => "lake_unavailable",
            Self::Internal => "internal",
        }
    }

    pub const fn status(self) -> StatusCode {
        match self {
            Self::UnknownParameter | Self::RepeatedParameter | Self::InvalidParameter | Self::InvalidBody => {
                StatusCode::BAD_REQUEST
            }
            Self::InvalidFields | Self::ReadingsRejected => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UnknownStream | Self::UnknownDevice | Self::UnknownMeasure | Self::NoEstimate | Self::NotFound => {
                StatusCode::NOT_FOUND
            }
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::QueryTooLong => StatusCode::URI_TOO_LONG,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NoModel | Self::ViewsUnavailable | Self::LogUnavailable | Self::LakeUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Seconds after which a client may try again: the standard backoff of the process gives up after three.
const RETRY_AFTER_SECS: &str = "5";

/// A refused or failed request.
#[derive(Debug)]
pub(crate) struct ApiError {
    code: ErrorCode,
    message: String,
    hint: Option<String>,
    fields: BTreeMap<String, String>,
    details: Option<Box<serde_json::Value>>,
    allow: Option<&'static str>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            fields: BTreeMap::new(),
            details: None,
            allow: None,
            cause: None,
        }
    }

    /// A failure that the client cannot help; the cause goes to the log and not into the answer.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()), ..Self::new(ErrorCode::Internal, "internal error") }
    }

    pub fn invalid_parameter(name: &str, value: &str, rule: impl fmt::Display) -> Self {
        Self::new(ErrorCode::InvalidParameter, format!("{name} = {:?}: {rule}", super::shorten(value)))
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What is wrong with each field of a form.
    #[must_use]
    pub fn fields(mut self, fields: BTreeMap<String, String>) -> Self {
        self.fields = fields;
        self
    }

    /// What a program wants to know besides.
    #[must_use]
    pub fn details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// The methods that would have been right.
    #[must_use]
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    #[must_use]
    fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }

    /// The message for the client; an internal one names the request under which the log has the cause.
    pub fn public_message(&self, request_id: &str) -> String {
        match self.code {
            ErrorCode::Internal => format!("internal error, request {request_id}"),
            _ => self.message.clone(),
        }
    }

    pub fn public_hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The beginning of an answer, for programs and people alike: status and headers.
    pub fn head(&self) -> HttpResponseBuilder {
        let mut head = HttpResponse::build(self.code.status());
        if self.code.status() == StatusCode::SERVICE_UNAVAILABLE {
            head.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECS));
        }
        if let Some(methods) = self.allow {
            head.insert_header((header::ALLOW, methods));
        }
        head
    }

    /// The answer for a program.
    pub fn to_response(&self, request_id: &str) -> HttpResponse {
        self.head().json(Envelope {
            error: ErrorBody {
                code: self.code.as_str(),
                message: self.public_message(request_id),
                hint: self.hint.as_deref(),
                fields: (!self.fields.is_empty()).then_some(&self.fields),
                details: self.details.as_deref(),
            },
        })
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'static str,
    message: String,
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a serde_json::Value>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    /// Empty: [`super::observe`] knows the request and writes the body.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.code.status())
    }
}

impl From<ViewsError> for ApiError {
    fn from(error: ViewsError) -> Self {
        match error {
            ViewsError::Unavailable { .. } => {
                Self::new(ErrorCode::ViewsUnavailable, "the views are not available").hint("try again").caused_by(error)
            }
            _ => Self::internal(error),
        }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable { .. } | LogError::Unusable { .. } => {
                Self::new(ErrorCode::LogUnavailable, "the log is not available")
                    .hint("try again with the same readings; a repeated one is recognised by device and time")
                    .caused_by(error)
            }
            _ => Self::internal(error),
        }
    }
}

impl From<LakeError> for ApiError {
    fn from(error: LakeError) -> Self {
        match error {
            LakeError::Unavailable { .. } => {
                Self::new(ErrorCode::LakeUnavailable, "the lake is not available").hint("try again").caused_by(error)
            }
            _ => Self::internal(error),
        }
    }
}
